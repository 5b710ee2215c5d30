import { describe, expect, it } from 'vitest';
import { type Decision, decide } from './decide.ts';
import type { TransactionStatus } from './pg-internals.ts';
import type { StatementKind } from './statement-class.ts';

const none = { sent: undefined, stale: false };
const mine = { sent: 'me', stale: false };
const stale = { sent: 'me', stale: true };
const theirs = { sent: 'them', stale: false };

describe('decide', () => {
  it.each<[TransactionStatus, StatementKind, string | undefined, typeof none | typeof mine, Decision]>([
    // idle: whatever touches rows carries the context
    ['I', 'query', 'me', none, 'prefix'],
    ['I', 'several', 'me', none, 'prefix'],
    ['I', 'other', 'me', none, 'prefix'],
    ['I', 'call', 'me', none, 'prefix'],
    ['I', 'query', undefined, none, 'plain'],
    ['I', 'begin', 'me', none, 'plain'],
    ['I', 'session', 'me', none, 'plain'],
    ['I', 'outside', 'me', none, 'plain'],
    ['I', 'empty', 'me', none, 'plain'],
    // in a transaction: once, and again when it may have been taken back
    ['T', 'query', 'me', none, 'prefix'],
    ['T', 'query', 'me', mine, 'plain'],
    ['T', 'query', 'me', stale, 'prefix'],
    ['T', 'query', 'me', theirs, 'changed'],
    ['T', 'query', undefined, mine, 'changed'],
    ['T', 'query', undefined, none, 'plain'],
    ['T', 'several', 'me', theirs, 'changed'],
    ['T', 'control', 'me', theirs, 'plain'],
    ['T', 'session', 'me', theirs, 'plain'],
    // failed: a prefix would swallow the ROLLBACK
    ['E', 'control', 'me', mine, 'plain'],
    ['E', 'query', 'me', stale, 'plain'],
    ['E', 'query', 'me', theirs, 'plain'],
    ['E', 'several', 'me', mine, 'plain'],
    ['E', 'several', 'me', theirs, 'changed'],
    ['T', 'outside', 'me', theirs, 'changed'],
  ])('%s %s of %s, transaction %o: %s', (status, kind, identity, transaction, decision) => {
    expect(decide(status, kind, identity, transaction)).toBe(decision);
  });
});

import { describe, expect, it } from 'vitest';
import { classify, type Leftover, type StatementKind } from './statement-class.ts';

describe('classify', () => {
  it.each<[string, StatementKind]>([
    ['select 1', 'query'],
    ['  /* hint */ SELECT 1;', 'query'],
    ['with a as (select 1) delete from b', 'query'],
    ['(select 1) union (select 2)', 'query'],
    ['((select 1))', 'query'],
    ['values (1)', 'query'],
    ['table notes', 'query'],
    ['merge into a using b on true when matched then delete', 'query'],
    ["insert into a values ('x;y'); -- done;", 'query'],
    ['begin', 'begin'],
    ['BEGIN ISOLATION LEVEL SERIALIZABLE;', 'begin'],
    ['start transaction read only', 'begin'],
    ['commit', 'control'],
    ['end', 'control'],
    ['rollback to savepoint a', 'control'],
    ['abort', 'control'],
    ['savepoint a', 'control'],
    ['release a', 'control'],
    ["prepare transaction 'x'", 'control'],
    ["commit prepared 'x'", 'control'],
    ['set a = 1', 'session'],
    ['show all', 'session'],
    ['listen a', 'session'],
    ['discard all', 'session'],
    ['vacuum (analyze) a', 'outside'],
    ['create unique index concurrently on a (b)', 'outside'],
    ['drop index concurrently a', 'outside'],
    ['create table a as select index, concurrently from notes', 'other'],
    ['reindex table concurrently a', 'outside'],
    ['reindex (verbose) database a', 'other'],
    ['reindex system a', 'outside'],
    ['create database a', 'outside'],
    ['drop tablespace a', 'outside'],
    ["alter system set a = 'b'", 'outside'],
    ['cluster', 'outside'],
    ['cluster a', 'other'],
    ['create index on a (b)', 'other'],
    ['alter table a add b int', 'other'],
    ['explain select 1', 'other'],
    ['declare c cursor for select 1', 'other'],
    ['do $$ begin perform 1; end $$', 'other'],
    ['create rule r as on insert to a do also (delete from b; delete from c)', 'other'],
    ['(call a())', 'other'],
    ['call a()', 'call'],
    ['copy a from stdin', 'copy'],
    ['select 1; select 2', 'several'],
    ['begin; select 1', 'several'],
    ['', 'empty'],
    [' ; ;-- x', 'empty'],
  ])('%s: %s', (text, kind) => {
    expect(classify(text).kind).toBe(kind);
  });

  it.each<[string, Leftover | undefined]>([
    ['set a = 1', 'setting'],
    ['set session a = 1', 'setting'],
    ['set role x', 'setting'],
    ['reset all', 'setting'],
    ['set local a = 1', undefined],
    ['set transaction read only', undefined],
    ['set constraints all deferred', undefined],
    ["select set_config('a', 'b', false)", 'setting'],
    ["select set_config('a', $1, $2)", 'setting'],
    ["select set_config('a', 'b', true)", undefined],
    ["select set_config('a', f('x)', 1), TRUE)", undefined],
    ["select set_config('a', 'b', true), set_config('c', 'd', false)", 'setting'],
    ['create temp table a (b int)', 'temporary table'],
    ['create temporary table a (b int) on commit drop', undefined],
    ['select 1 into temp a', 'temporary table'],
    ['create table pg_temp.a (b int)', 'temporary table'],
    ['declare a cursor with hold for select 1', 'held cursor'],
    ['declare a cursor without hold for select 1', undefined],
    ['declare a cursor for select 1', undefined],
    ['listen a', 'listener'],
    ['unlisten a', undefined],
    ['select pg_advisory_lock(1)', 'advisory lock'],
    ['select pg_try_advisory_lock_shared(1)', 'advisory lock'],
    ['select pg_advisory_xact_lock(1)', undefined],
    ['prepare a as select 1', 'prepared statement'],
    ["load 'x'", 'library'],
    ['do $$ begin create temp table a (b int); end $$', 'temporary table'],
    ['do $$ begin set work_mem = 1; end $$', 'setting'],
    ['do $$ begin listen a; end $$', 'listener'],
    ['do $$ begin perform 1; end $$', undefined],
    ['update a set b = 1', undefined],
    ['select 1; set a = 2; select 3', 'setting'],
    ['select temp from readings', 'temporary table'], // too often rather than too seldom: it costs a DISCARD ALL
  ])('%s leaves: %s', (text, leftover) => {
    expect(classify(text).leftover).toBe(leftover);
  });

  it('knows a COPY that waits for the client', () => {
    expect(classify('copy a (b) from stdin with csv').copiesFromClient).toBe(true);
    expect(classify("copy a from '/file'").copiesFromClient).toBe(false);
    expect(classify('copy a to stdout').copiesFromClient).toBe(false);
  });
});

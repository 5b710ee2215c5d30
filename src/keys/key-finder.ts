import type { Kernel } from '../database/kernel.ts';
import { findKey, findKeys } from './lookup-queries.ts';

/** What the database says of a key by its public part; null when there is none. */
export type FindKey = (lookup: string) => Promise<string | null>;

interface Turn {
  readonly lookups: Set<string>;
  readonly answers: Promise<ReadonlyMap<string, string>>;
}

const mostAtOnce = 100;

/**
 * What is asked for in one turn of the event loop goes out as one statement: many requests at once take few round trips
 * and few connections. While nothing is under way a turn ends at once, so that a single request waits for nobody. A
 * statement that is under way is not joined: its answer may be from before the question.
 */
export function createKeyFinder(kernel: Kernel): FindKey {
  let turn: Turn | undefined;
  let underWay = 0;

  function begin(): Turn {
    const lookups = new Set<string>();
    const answers = new Promise<ReadonlyMap<string, string>>((resolve, reject) => {
      const send = (): void => {
        if (turn === begun) turn = undefined;
        underWay += 1;
        answersOf(kernel, [...lookups])
          .finally(() => (underWay -= 1))
          .then(resolve, reject);
      };
      if (underWay === 0) process.nextTick(send);
      else setImmediate(send);
    });
    const begun = { lookups, answers };
    return begun;
  }

  return async (lookup) => {
    if (turn === undefined || (turn.lookups.size === mostAtOnce && !turn.lookups.has(lookup))) turn = begin();
    turn.lookups.add(lookup);
    return (await turn.answers).get(lookup) ?? null;
  };
}

async function answersOf(kernel: Kernel, lookups: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const [only, ...more] = lookups;
  if (only !== undefined && more.length === 0) {
    const answer = await findKey(kernel, only);
    return new Map(answer === null ? [] : [[only, answer]]);
  }
  return new Map((await findKeys(kernel, lookups)).map(({ lookup, answer }) => [lookup, answer]));
}

import { decidingKeys } from '../decisions/fill-body.ts';
import type { TableName } from '../inspection.ts';
import type { Plan, Step } from '../plan-types.ts';

/** Steps of one table in their order, and the groups that must be over before it begins. */
interface Group {
  readonly table: TableName | null;
  readonly steps: Step[];
  readonly after: Set<number>;
}

/**
 * Steps by table: a table comes after its parents, and tables of the same depth need not wait for each other. Whatever belongs to no
 * table of the plan is a barrier.
 */
export function groupByTable(plan: Plan, steps: readonly Step[]): readonly Group[] {
  const places = new Map(plan.order.map((table, place) => [table, place]));
  const parents = new Map(
    plan.tables.map((table) => [table.table, [...table.via, ...decidingKeys(table)].map((key) => key.parent)]),
  );
  const groups: Group[] = [];
  const barriers = new Set<number>();
  for (const step of steps) {
    const last = groups.at(-1);
    if (last !== undefined && last.table !== null && last.table === step.table) {
      last.steps.push(step);
      continue;
    }
    const place = step.table === null ? undefined : places.get(step.table);
    const before = groups.map((_, i) => i);
    if (place === undefined) {
      barriers.add(groups.length);
      groups.push({ table: null, steps: [step], after: new Set(before) });
      continue;
    }
    const own = parents.get(step.table ?? '') ?? [];
    // a table that no key leads up from gets its rows from whoever uses them
    if (own.length === 0) barriers.add(groups.length);
    const needed = before.filter((i) => {
      const table = groups[i]?.table ?? null;
      if (barriers.has(i) || own.length === 0 || table === step.table) return true;
      return table !== null && own.includes(table) && (places.get(table) ?? 0) < place;
    });
    groups.push({ table: step.table, steps: [step], after: new Set(needed) });
  }
  return groups;
}

/** Runs groups at most `parallel` at a time. After a failure none begins; `stop` ends those that run, and the first failure is thrown. */
export async function runGroups(
  groups: readonly Group[],
  parallel: number,
  runGroup: (steps: readonly Step[]) => Promise<void>,
  stop: () => void,
): Promise<void> {
  const done = new Set<number>();
  const begun = new Set<number>();
  const running = new Map<number, Promise<void>>();
  const failures: unknown[] = [];
  const start = (i: number, group: Group): void => {
    begun.add(i);
    const work = runGroup(group.steps).then(
      () => void done.add(i),
      (error: unknown) => {
        failures.push(error);
        stop();
      },
    );
    running.set(
      i,
      work.finally(() => running.delete(i)),
    );
  };
  for (;;) {
    if (failures.length === 0) {
      for (const [i, group] of groups.entries()) {
        if (running.size >= parallel) break;
        if (!begun.has(i) && [...group.after].every((needed) => done.has(needed))) start(i, group);
      }
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  if (failures.length > 0) throw failures[0];
}

import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface ProcessesOptions {
  readonly processes: number;
  /** Per second. */
  readonly limit: number;
  readonly burst: number;
  readonly seconds: number;
}

export interface Admitted {
  readonly asked: number;
  readonly passed: number;
  /** The burst, and the rate for as long as it was asked. */
  readonly allowance: number;
}

interface Report {
  readonly asked: number;
  readonly passed: number;
  /** Unix times in milliseconds. */
  readonly first: number;
  readonly last: number;
}

/** Several processes ask for one key as fast as they can. */
export async function admittedByProcesses(url: string, options: ProcessesOptions): Promise<Admitted> {
  const { processes, limit, burst, seconds } = options;
  const file = new URL('./rate-limit.node.js', import.meta.url).pathname;
  const children = Array.from({ length: processes }, () => fork(file, [], { stdio: 'inherit' }));
  await Promise.all(
    children.map(async (child) => {
      const ready = once(child, 'message');
      child.send({ url, key: `nodes-${process.pid}/api`, limit, burst, seconds });
      await ready;
    }),
  );
  const reports = await Promise.all(
    children.map(async (child) => {
      const told = once(child, 'message');
      child.send('go');
      const [report] = (await told) as [Report];
      return report;
    }),
  );
  const sum = (pick: (report: Report) => number): number => reports.reduce((total, report) => total + pick(report), 0);
  const took = Math.max(...reports.map(({ last }) => last)) - Math.min(...reports.map(({ first }) => first));
  return {
    asked: sum(({ asked }) => asked),
    passed: sum(({ passed }) => passed),
    allowance: burst + (took / 1000) * limit,
  };
}

import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { CompareBcrypt } from './bcrypt.ts';

/** What a thread runs. Text, so that it is also there where everything was bundled into one file. */
const program = `
const { parentPort, workerData } = require('node:worker_threads');
const { compareSync } = require(workerData);
parentPort.on('message', ({ text, hash }) => {
  try {
    parentPort.postMessage({ same: compareSync(text, hash) });
  } catch (error) {
    parentPort.postMessage({ error: error.message });
  }
});`;

interface Answer {
  readonly same?: boolean;
  readonly error?: string;
}

export interface BcryptThreads {
  readonly compare: CompareBcrypt;
  /** Threads that are there, at work or idle. */
  readonly size: number;
  close(): Promise<void>;
}

export interface BcryptThreadsOptions {
  /** bcryptjs as a file that a thread can load. Throws where it is not installed, or is a part of a bundle. */
  readonly file?: () => string;
  /** How long a thread that has nothing to do is kept: each key from elsewhere is compared once. Milliseconds. */
  readonly idleMs?: number;
}

/**
 * Compares in threads, as many as are asked for at once: bcryptjs does 100 ms of its work without a break, and nothing else
 * happens meanwhile in its thread. Where there can be no thread, or one dies, `fallback` compares in this one.
 */
export function createBcryptThreads(
  fallback: CompareBcrypt,
  { file = () => createRequire(import.meta.url).resolve('bcryptjs'), idleMs = 30_000 }: BcryptThreadsOptions = {},
): BcryptThreads {
  const all = new Set<Worker>();
  const idle = new Map<Worker, NodeJS.Timeout>();
  let usable = true;

  const start = (): Worker => {
    // neither the environment nor the loaders of this process: it compares, and nothing else
    const thread = new Worker(program, { eval: true, workerData: file(), env: {}, execArgv: [] });
    thread.on('error', () => {}); // told by its end
    thread.once('exit', () => forget(thread));
    all.add(thread);
    return thread;
  };
  const forget = (thread: Worker): void => {
    clearTimeout(idle.get(thread));
    idle.delete(thread);
    all.delete(thread);
  };
  const end = async (thread: Worker): Promise<void> => {
    forget(thread);
    await thread.terminate();
  };
  const take = (): Worker => {
    const [thread = start()] = idle.keys();
    clearTimeout(idle.get(thread));
    idle.delete(thread);
    thread.ref();
    return thread;
  };
  const rest = (thread: Worker): void => {
    thread.unref(); // it keeps no process from ending
    idle.set(thread, setTimeout(() => void end(thread), idleMs).unref());
  };
  const ask = async (text: string, hash: string): Promise<Answer | undefined> => {
    let thread: Worker | undefined;
    try {
      thread = take();
      const answer = await answerOf(thread, { text, hash });
      rest(thread);
      return answer;
    } catch {
      usable = false;
      if (thread !== undefined) await end(thread);
      return undefined;
    }
  };
  return {
    async compare(text, hash) {
      const answer = usable ? await ask(text, hash) : undefined;
      if (answer === undefined) return fallback(text, hash);
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer.same === true;
    },
    get size() {
      return all.size;
    },
    async close() {
      await Promise.all([...all].map(end));
    },
  };
}

function answerOf(thread: Worker, question: { text: string; hash: string }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const ended = (): void => {
      thread.off('message', answered);
      reject(new Error('the thread has ended'));
    };
    const answered = (answer: Answer): void => {
      thread.off('exit', ended);
      resolve(answer);
    };
    thread.once('message', answered);
    thread.once('exit', ended);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    thread.postMessage(question);
  });
}

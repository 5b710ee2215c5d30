import { type ChildProcess, fork } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

export interface Seen {
  readonly listening: boolean;
  readonly lastAccepted?: number;
  readonly firstRefused?: number;
  readonly accepted: number;
}

export interface OtherProcess {
  readonly pid: number;
  report(): Promise<Seen>;
  /** Until what it saw satisfies. */
  until(satisfied: (seen: Seen) => boolean, withinMs?: number): Promise<Seen>;
  end(): Promise<void>;
}

export interface ProcessOptions {
  /** Compiled sources. */
  readonly folder: string;
  readonly url: string;
  readonly listenUrl: string;
  readonly pepper: string;
  readonly key: string;
}

const script = fileURLToPath(new URL('./other-process.mjs', import.meta.url));

/** A real process that verifies one key without pause. */
export function otherProcess(options: ProcessOptions, file = script): OtherProcess {
  const child: ChildProcess = fork(file, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  child.send(options);
  const report = (): Promise<Seen> =>
    new Promise((resolve, reject) => {
      child.once('message', (seen) => resolve(seen as Seen));
      void ended.then(() => reject(new Error('the process has ended')));
      child.send('report');
    });
  return {
    pid: child.pid ?? 0,
    report,
    async until(satisfied, withinMs = 30_000) {
      const last = Date.now() + withinMs;
      for (;;) {
        const seen = await report();
        if (satisfied(seen)) return seen;
        if (Date.now() > last) throw new Error(`it did not come about: ${JSON.stringify(seen)}`);
        await new Promise((done) => setTimeout(done, 5));
      }
    },
    async end() {
      if (child.connected) child.send('end');
      await ended;
    },
  };
}

export interface Wire {
  readonly url: string;
  /** From now on nothing comes through, and nobody is told. */
  freeze(): void;
  close(): Promise<void>;
}

/** A way to a server that can be cut without a sign, as a firewall or a pulled cable does it. */
export async function openWire(url: string): Promise<Wire> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let frozen = false;
  const server = createServer((near) => {
    sockets.add(near);
    near.on('error', () => {});
    if (frozen) return;
    const far = connect(Number(target.port || 5432), target.hostname);
    sockets.add(far);
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes) => {
        if (!frozen) to.write(bytes);
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const near = new URL(url);
  near.hostname = '127.0.0.1';
  near.port = String((server.address() as { port: number }).port);
  return {
    url: near.href,
    freeze() {
      frozen = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

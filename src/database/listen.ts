import { ident } from './sql.ts';

/** A connection of its own: a `pg.Client` that is connected. */
export interface ListenClient {
  query(text: string): Promise<unknown>;
  on(event: 'notification', listener: (message: { channel: string; payload?: string | undefined }) => void): unknown;
  on(event: 'error' | 'end', listener: (error?: Error) => void): unknown;
  end(): Promise<void>;
}

export interface ListenerOptions {
  /** Opens a connection that nothing else uses; called again whenever it was lost. */
  readonly connect: () => Promise<ListenClient>;
  readonly channels: readonly string[];
  readonly onNotify: (channel: string, payload: string) => void;
  /** Notifications may be missed from here on. */
  readonly onLost?: (error: Error | undefined) => void;
  /** The connection listens: the first time, and again after it was lost. What was said in between was not heard. */
  readonly onRestored?: () => void;
  /** How often the server must answer, so that a connection that died silently is noticed. Milliseconds, default 2,000. */
  readonly heartbeatMs?: number;
  /** The longest pause between two attempts to connect. Milliseconds, default 2,000. */
  readonly maxBackoffMs?: number;
}

export interface Listener {
  /** Whether notifications arrive now. */
  readonly listening: boolean;
  close(): Promise<void>;
}

const firstBackoff = 50;

/**
 * Listens on channels over one connection, and keeps at it: a connection that is lost, or no longer answers, is replaced.
 * It holds no process open.
 */
export function createListener(options: ListenerOptions): Listener {
  const { connect, channels, onNotify, onLost, onRestored, heartbeatMs = 2_000, maxBackoffMs = 2_000 } = options;
  let client: ListenClient | undefined;
  let listening = false;
  let closed = false;
  let backoff = firstBackoff;
  let timer: NodeJS.Timeout | undefined;
  let opening: Promise<void> | undefined;

  const later = (fn: () => void, milliseconds: number): void => {
    clearTimeout(timer);
    timer = setTimeout(fn, milliseconds);
    timer.unref();
  };

  const open = async (): Promise<void> => {
    let opened: ListenClient | undefined;
    try {
      opened = await connect();
      const mine = opened;
      client = mine;
      mine.on('error', (error) => lose(mine, error));
      mine.on('end', () => lose(mine, undefined));
      mine.on('notification', ({ channel, payload }) => {
        if (client === mine) onNotify(channel, payload ?? '');
      });
      await mine.query(channels.map((channel) => `listen ${ident(channel)}`).join('; '));
      if (client !== mine || closed) return;
      listening = true;
      backoff = firstBackoff;
      onRestored?.();
      later(() => void beat(mine), heartbeatMs);
    } catch (error) {
      if (opened === undefined) retry();
      else lose(opened, error as Error);
    }
  };

  const start = (): void => {
    opening = open();
  };

  const retry = (): void => {
    if (closed) return;
    later(start, backoff * (0.5 + Math.random() / 2));
    backoff = Math.min(backoff * 2, maxBackoffMs);
  };

  function lose(lost: ListenClient, error: Error | undefined): void {
    if (client !== lost) return;
    client = undefined;
    const told = listening;
    listening = false;
    if (told && !closed) onLost?.(error);
    void lost.end().catch(() => {});
    retry();
  }

  const beat = async (mine: ListenClient): Promise<void> => {
    if (client !== mine) return;
    later(() => lose(mine, new Error('the server did not answer')), heartbeatMs);
    try {
      await mine.query('select 1');
    } catch (error) {
      lose(mine, error as Error);
      return;
    }
    if (client === mine && !closed) later(() => void beat(mine), heartbeatMs);
  };

  start();
  return {
    get listening() {
      return listening;
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await opening;
      const last = client;
      client = undefined;
      listening = false;
      await last?.end().catch(() => {});
    },
  };
}

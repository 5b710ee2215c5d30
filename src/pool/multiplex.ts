import type { TenantClient } from './client.ts';
import { FairQueue } from './fair-queue.ts';
import type { Submission } from './pg-internals.ts';
import type { Lender, TenantQuery } from './query.ts';
import type { MultiplexOptions } from './settings.ts';
import type { TextEntry } from './texts.ts';

/** A text is slow that overran twice, and in one of five runs: on a busy machine every text overruns now and then. */
const slowTwice = 2;
const slowShare = 5;
/** Runs after which older ones count half. */
const memory = 1_000;
/** Looks per `slowAfter`: a head seen at so many looks after the first has run that long. */
const looks = 2;
/** Milliseconds after which a slow text may try shared connections again. */
const forgiveAfter = 30_000;

/** One connection that single statements of many callers share: each is its own transaction, in the order of writing. */
class Lane implements Lender {
  readonly client: TenantClient;
  readonly #freed: () => void;
  inFlight = 0;
  /** What the connection worked on at the last look. */
  head: Submission | null | undefined = undefined;
  /** For how many looks it has been the same. */
  looksAtHead = 0;
  /** It works on one statement for too long: give it nothing more. */
  stuck = false;

  constructor(client: TenantClient, freed: () => void) {
    this.client = client;
    this.#freed = freed;
  }

  run(query: TenantQuery): void {
    this.inFlight++;
    query.lender = this;
    this.client.enqueue(query);
  }

  giveBack(_client: TenantClient, _alive: boolean, { entry }: TenantQuery): void {
    this.inFlight--;
    if (++entry.sharedRuns >= memory) {
      entry.sharedRuns /= 2;
      entry.overruns /= 2;
    }
    this.stuck = false;
    this.#freed();
  }
}

/**
 * Spreads single statements over a few pipelined connections. A statement that takes long would hold up those behind
 * it, so: few in flight per connection, none behind a head that is older than `slowAfter`, and a text that was such a
 * head twice goes to connections of its own.
 */
export class Multiplexer {
  readonly #connections: number;
  readonly #depth: number;
  readonly #slowAfter: number;
  readonly #open: () => Promise<TenantClient>;
  readonly #overflow: (query: TenantQuery) => void;
  #lanes: Lane[] = [];
  #opening = 0;
  readonly #openings = new Set<Promise<void>>();
  readonly #waiting = new FairQueue<TenantQuery>();
  readonly #slow = new Map<TextEntry, number>();
  #watch: NodeJS.Timeout | undefined = undefined;
  #ended = false;

  /**
   * @param open connects a client that is set up and pipelines
   * @param overflow runs a query on a connection of its own
   */
  constructor(options: MultiplexOptions, open: () => Promise<TenantClient>, overflow: (query: TenantQuery) => void) {
    const { connections = 4, depth = 4, slowAfter = 10 } = options;
    this.#connections = connections;
    this.#depth = depth;
    this.#slowAfter = slowAfter;
    this.#open = open;
    this.#overflow = overflow;
  }

  /** Whether a query may share a connection: one statement that ends by itself and leaves nothing behind. */
  accepts({ entry, config }: TenantQuery): boolean {
    return (
      entry.kind === 'query' &&
      entry.leftover === undefined &&
      !entry.outside &&
      // giving one up takes the connection with it, and so its neighbours
      config.signal === undefined &&
      !config.query_timeout &&
      !this.#ended &&
      !this.#isSlow(entry)
    );
  }

  run(query: TenantQuery): void {
    const lane = this.#choose();
    if (lane !== undefined) lane.run(query);
    else if (this.#lanes.length + this.#opening < this.#connections) {
      this.#waiting.push(query.scope?.identity ?? '', query);
      this.#addLane();
    } else if (this.#opening === 0 && this.#lanes.every(({ stuck }) => stuck)) this.#overflow(query);
    else this.#waiting.push(query.scope?.identity ?? '', query);
    this.#watch ??= setInterval(() => setImmediate(() => this.#look()), this.#slowAfter / looks).unref();
  }

  async end(): Promise<void> {
    this.#ended = true;
    clearInterval(this.#watch);
    this.#failWaiting(new Error('Cannot use a pool after calling end on the pool'));
    await Promise.all([...this.#openings, ...this.#lanes.map(({ client }) => client.end())]);
  }

  #isSlow(entry: TextEntry): boolean {
    if (entry.overruns < slowTwice || entry.overruns * slowShare < entry.sharedRuns) return false;
    const since = this.#slow.get(entry) ?? 0;
    if (Date.now() - since < forgiveAfter) return true;
    this.#slow.delete(entry);
    entry.overruns = slowTwice - 1;
    entry.sharedRuns = 1;
    return false;
  }

  /** The connection with the least to do, among those that take more. */
  #choose(): Lane | undefined {
    let best: Lane | undefined;
    for (const lane of this.#lanes) {
      if (lane.stuck || lane.inFlight >= this.#depth) continue;
      if (lane.inFlight === 0) return lane;
      if (best === undefined || lane.inFlight < best.inFlight) best = lane;
    }
    // a new connection is worth more than a place behind others
    if (best !== undefined && this.#lanes.length + this.#opening < this.#connections) this.#addLane();
    return best;
  }

  #addLane(): void {
    if (this.#ended) return;
    const opening = this.#openLane();
    this.#openings.add(opening);
    void opening.finally(() => this.#openings.delete(opening));
  }

  async #openLane(): Promise<void> {
    this.#opening++;
    try {
      const client = await this.#open();
      if (this.#ended) return await client.end(); // nobody would end it later
      const lane = new Lane(client, () => this.#pump());
      client.once('end', () => {
        this.#lanes = this.#lanes.filter((other) => other !== lane);
        this.#pump();
      });
      this.#lanes.push(lane);
    } catch (error) {
      if (this.#lanes.length === 0) this.#failWaiting(error as Error);
    } finally {
      this.#opening--;
      this.#pump();
    }
  }

  #failWaiting(error: Error): void {
    for (let query = this.#waiting.shift(); query !== undefined; query = this.#waiting.shift())
      query.settle(error, true);
  }

  #pump(): void {
    while (this.#waiting.size > 0) {
      const lane = this.#choose();
      if (lane === undefined) break;
      const query = this.#waiting.shift();
      if (query !== undefined) lane.run(query);
    }
    if (this.#waiting.size > 0 && this.#lanes.length === 0 && this.#opening === 0) this.#addLane();
  }

  /**
   * Looks at what each connection works on, a few times per `slowAfter`, behind the reading of the sockets: answers that had arrived
   * while the process itself was busy have been taken by then, so its own stalls are nobody's fault.
   */
  #look(): void {
    let busy = false;
    for (const lane of this.#lanes) {
      const head = lane.client._activeQuery;
      lane.looksAtHead = head && head === lane.head ? lane.looksAtHead + 1 : 0;
      lane.head = head;
      if (lane.looksAtHead >= looks && !lane.stuck) {
        lane.stuck = true;
        this.#overran(head as TenantQuery);
      }
      busy ||= lane.inFlight > 0;
    }
    if (this.#lanes.length > 0 && this.#opening === 0 && this.#lanes.every(({ stuck }) => stuck))
      this.#overflowWaiting();
    if (busy || this.#waiting.size > 0 || this.#opening > 0) return;
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #overran({ entry }: TenantQuery): void {
    entry.overruns++;
    if (entry.overruns >= slowTwice) this.#slow.set(entry, Date.now());
  }

  #overflowWaiting(): void {
    for (let query = this.#waiting.shift(); query !== undefined; query = this.#waiting.shift()) this.#overflow(query);
  }
}

/** First in, first out for each owner, one of each in turn: who asks for much waits behind nobody but himself. */
export class FairQueue<T> {
  readonly #byOwner = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(owner: string, item: T): void {
    const items = this.#byOwner.get(owner);
    if (items === undefined) this.#byOwner.set(owner, [item]);
    else items.push(item);
    this.#size++;
  }

  shift(): T | undefined {
    const first = this.#byOwner.entries().next();
    if (first.done) return undefined;
    const [owner, items] = first.value;
    const item = items.shift();
    // a map keeps the order of insertion: deleted and set again, the owner stands at the end
    this.#byOwner.delete(owner);
    if (items.length > 0) this.#byOwner.set(owner, items);
    this.#size--;
    return item;
  }
}

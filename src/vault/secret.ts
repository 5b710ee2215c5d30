import { inspect } from 'node:util';

const shown = '<encrypted>';

/**
 * A secret in the clear that shows itself to nobody who does not ask: logs, JSON, string templates and the debugger's
 * print see `<encrypted>`.
 *
 * @example
 * ```ts
 * const { accessToken } = await t.oauth.accessToken({ provider: 'google' });
 * console.log(accessToken); // <encrypted>
 * await fetch(url, { headers: { authorization: `Bearer ${accessToken.reveal()}` } });
 * ```
 */
export class Secret {
  readonly #plain: string;

  constructor(plain: string) {
    this.#plain = plain;
  }

  /** The text itself. */
  reveal(): string {
    return this.#plain;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}

/** A value that is still encrypted and opens only when asked: what a row of an application's own table can hold. */
export class Sealed {
  readonly #open: () => Promise<Buffer>;

  constructor(open: () => Promise<Buffer>) {
    this.#open = open;
  }

  /** Decrypts it as UTF-8. @throws TNT_SECRET_DAMAGED, TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG */
  async reveal(): Promise<string> {
    return (await this.#open()).toString('utf8');
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}

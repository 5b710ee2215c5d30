import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Between {
  /** The server's URL by way of this stand. */
  readonly url: string;
  close(): void;
}

export interface BetweenOptions {
  /** What the client said; false: it is kept from the server. */
  readonly fromClient?: (chunk: Buffer, client: Socket, server: Socket) => boolean;
  /** What the server said, as it is handed on: one write each. */
  readonly fromServer?: (chunk: Buffer) => Iterable<Buffer>;
}

/** Stands between a client and the server, on 127.0.0.1, and hands on what each says. */
export async function standBetween(serverUrl: string, options: BetweenOptions = {}): Promise<Between> {
  const { fromClient = () => true, fromServer = (chunk) => [chunk] } = options;
  const target = new URL(serverUrl);
  const stand = createServer((client) => {
    client.setNoDelay(true);
    const server = connect(Number(target.port), target.hostname);
    client.on('data', (chunk: Buffer) => {
      if (fromClient(chunk, client, server)) server.write(chunk);
    });
    server.on('data', (chunk: Buffer) => {
      for (const part of fromServer(chunk)) client.write(part);
    });
    client.on('close', () => server.destroy());
    server.on('close', () => client.end());
    for (const socket of [client, server]) socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(stand, 'listening');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((stand.address() as AddressInfo).port);
  return { url: url.href, close: () => stand.close() };
}

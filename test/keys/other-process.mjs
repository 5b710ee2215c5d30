// A process of its own that asks again and again whether a key is accepted, and tells when that changed.
// It is told by message: { folder, url, listenUrl, pepper, key }; then 'report' → what it saw; 'end'.
import pg from 'pg';

let ended = false;
let listening = false;
/** When the last verification began that was accepted, and the first that was refused. */
let lastAccepted;
let firstRefused;
let accepted = 0;

async function main({ folder, url, listenUrl, pepper, key }) {
  const { createPool, createTenantry } = await import(`file://${folder}/index.js`);
  const pool = createPool({ connectionString: url, max: 2 });
  pool.on('error', () => {});
  const listen = async () => {
    const client = new pg.Client({ connectionString: listenUrl, connectionTimeoutMillis: 1000 });
    client.on('error', () => {});
    await client.connect();
    listening = true;
    return client;
  };
  const t = createTenantry({ pool, keys: { peppers: pepper, listen } });
  while (!ended) {
    const at = Date.now();
    try {
      await t.keys.verify(key);
      lastAccepted = at;
      firstRefused = undefined;
      accepted += 1;
    } catch (error) {
      // a server that cannot be asked accepts nobody
      if (error.code === 'TNT_KEY_INACTIVE') firstRefused ??= at;
    }
    await new Promise((done) => setTimeout(done, 1));
  }
  await t.close();
  await pool.end();
}

process.on('message', (message) => {
  if (message === 'end') ended = true;
  else if (message === 'report') process.send({ listening, lastAccepted, firstRefused, accepted });
  else
    main(message).then(
      () => process.disconnect(),
      (error) => {
        console.error(error);
        process.exit(1);
      },
    );
});
process.on('disconnect', () => process.exit(0));

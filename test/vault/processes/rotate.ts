// A process of its own, to be killed: seals every value of the database anew, in small batches.
import pg from 'pg';
import { createKeyring, createVaultRotation } from '../../../src/vault/index.ts';

const { DATABASE_URL: connectionString, KEYS = '' } = process.env;
const database = new pg.Pool({ connectionString, max: 2 });
const keyring = createKeyring(
  KEYS.split(',').map((entry) => {
    const [id = '', hex = ''] = entry.split(':');
    return { id, key: Buffer.from(hex, 'hex') };
  }),
);
const rotation = createVaultRotation({ database, keyring });
process.stdout.write('ready\n');
await rotation.rewrap({ batch: 3, onProgress: () => process.stdout.write('.') });
const done = await rotation.rotateDataKeys({ batch: 3, onProgress: () => process.stdout.write('.') });
process.stdout.write(`\n${JSON.stringify(done)}\n`);
await database.end();

import { createHash, randomBytes } from 'node:crypto';
import { defineAdoptHooks, type HookContext } from 'tenantry/adopt';

/** A key with 256 random bits: shown once, kept as a hash. */
function makeKey(prefix: string): { key: string; hash: Buffer } {
  const key = `${prefix}_${randomBytes(32).toString('base64url')}`;
  return { key, hash: createHash('sha256').update(key).digest() };
}

/** One instance, with a widget key of its own, for each store that has none. */
async function deploy({ tx, log, reveal, dryRun }: HookContext): Promise<void> {
  const { rows: stores } = await tx.query<{ id: string; name: string }>(
    `select s.id, s.name from stores s where not exists (select from agent_instances i where i.store_id = s.id) order by s.id`,
  );
  for (const { id, name } of stores) {
    const { key, hash } = makeKey('pk_widget');
    await tx.query(
      `insert into agent_instances (store_id, definition_id, public_key_hash)
       select $1, d.id, $2 from agent_definitions d where d.type = 'customer-service' and d.version = '1.0.0'`,
      [id, hash],
    );
    reveal(`widget key of ${name}: ${key}`);
  }
  log(`${dryRun ? 'would deploy' : 'deployed'} the customer-service agent in ${stores.length} stores`);
}

/** Every conversation belongs to the instance of its store. */
async function link({ tx, log, dryRun }: HookContext): Promise<void> {
  const { rowCount } = await tx.query(
    `update conversations c set agent_instance_id = i.id from agent_instances i
     where i.store_id = c.store_id and c.agent_instance_id is null`,
  );
  log(`${dryRun ? 'would link' : 'linked'} ${rowCount} conversations`);
}

export default defineAdoptHooks({
  beforePhase: {
    expand: {
      name: 'confirm a backup',
      confirm: 'Is there a backup of this database that was restored once?',
      run: ({ log }) => log('a backup was confirmed'),
    },
    // the old application went on making stores and conversations meanwhile
    enforced: [
      { name: 'deploy in late stores', run: deploy },
      { name: 'link late conversations', run: link },
    ],
  },

  onOrganization: {
    name: 'enterprise tier',
    async run({ tx, organization, log }) {
      await tx.query(`update tenantry.organizations set settings = settings || '{"tier":"enterprise"}' where id = $1`, [
        organization.id,
      ]);
      log(`${organization.name} has the tier enterprise`);
    },
    async undo({ tx, organization }) {
      await tx.query(`update tenantry.organizations set settings = settings - 'tier' where id = $1`, [organization.id]);
    },
  },

  afterPhase: {
    backfill: [
      {
        name: 'customer-service 1.0.0',
        async run({ tx, log }) {
          await tx.query(
            `insert into agent_definitions (type, version, configuration) values ('customer-service', '1.0.0', '{"tone":"friendly"}')`,
          );
          log('made the definition customer-service 1.0.0');
        },
        async undo({ tx }) {
          await tx.query(`delete from agent_definitions where type = 'customer-service' and version = '1.0.0'`);
        },
      },
      {
        name: 'deploy in every store',
        run: deploy,
        async undo({ tx }) {
          await tx.query('delete from agent_instances');
        },
      },
      {
        name: 'link conversations',
        run: link,
        async undo({ tx }) {
          await tx.query('update conversations set agent_instance_id = null where agent_instance_id is not null');
        },
      },
    ],
    enforced: {
      name: 'API keys',
      async run({ tx, log, reveal }) {
        for (const mode of ['live', 'test']) {
          const { key, hash } = makeKey(`sk_${mode}`);
          await tx.query('insert into organization_api_keys (mode, prefix, key_hash) values ($1, $2, $3)', [
            mode,
            key.slice(0, 12),
            hash,
          ]);
          reveal(`${mode} key: ${key}`);
        }
        log('made one live and one test key');
      },
      async undo({ tx }) {
        await tx.query('delete from organization_api_keys');
      },
    },
  },

  onVerify: {
    name: 'support agents',
    async run({ tx, log }) {
      const { rows } = await tx.query<Record<'organizations' | 'instances' | 'stores' | 'linked' | 'open', number>>(
        `select (select count(*)::int from tenantry.organizations) as organizations,
                (select count(*)::int from agent_instances) as instances, (select count(*)::int from stores) as stores,
                (select count(*)::int from conversations where agent_instance_id is not null) as linked,
                (select count(*)::int from conversations where agent_instance_id is null) as open`,
      );
      for (const { organizations, instances, stores, linked, open } of rows) {
        log(`${organizations} organization, ${instances} of ${stores} stores with a widget key`);
        log(`${linked} conversations linked, ${open} not`);
        if (instances < stores || open > 0) throw new Error('something came since the last run: tenantry adopt run');
      }
    },
  },
});

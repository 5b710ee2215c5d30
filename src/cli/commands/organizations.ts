import { withSystem, withUser } from '../../context/index.ts';
import { createKernel } from '../../database/kernel.ts';
import { renderSchema } from '../../database/sql.ts';
import { createOrganizations, createUsers } from '../../directory/index.ts';
import { TenantryError } from '../../errors.ts';
import { createPool } from '../../pool/index.ts';
import type { Command, CommandInput } from '../command.ts';

interface OrganizationRow extends Record<string, string | number | Date | null> {
  id: string;
  number: string;
  slug: string;
  name: string;
  kind: string;
  key: string;
  data_region: string | null;
  members: number;
  created_at: Date;
}

/** With the migrating login, who sees every organization. */
async function readOrganizations(
  input: CommandInput,
  condition: string,
  values: unknown[],
): Promise<OrganizationRow[]> {
  const { schema } = await input.config();
  const { rows } = await (await input.database()).admin().query<OrganizationRow>(
    renderSchema(
      `select o.id, o.number::text as number, o.slug, o.name, o.kind, o.key, o.data_region, o.created_at,
         (select count(*)::int from tenantry.org_members m where m.tenant_id = o.id) as members
       from tenantry.organizations o where ${condition}`,
      schema,
    ),
    values,
  );
  return rows;
}

const list: Command = {
  name: 'organizations list',
  summary: 'List organizations by number.',
  examples: ['tenantry organizations list', 'tenantry organizations list --after 1000 --limit 200 --json'],
  options: {
    limit: { type: 'string', value: 'N', help: 'At most this many, 1 to 1000. Defaults to 50.' },
    after: { type: 'string', value: 'NUMBER', help: 'Only those with a greater number: the next page.' },
  },
  async run(input) {
    const limit = input.number('limit') ?? 50;
    if (limit < 1 || limit > 1000) throw new TenantryError('TNT_USAGE', '--limit takes 1 to 1000.');
    const rows = await readOrganizations(input, 'o.number > $1::bigint order by o.number limit $2::int', [
      input.number('after') ?? 0,
      limit,
    ]);
    input.terminal.table(
      ['number', 'id', 'slug', 'name', 'kind', 'members', 'created'],
      rows.map((row) => [
        row.number,
        row.id,
        row.slug,
        row.name,
        row.kind,
        String(row.members),
        row.created_at.toISOString(),
      ]),
    );
    if (rows.length === 0) input.terminal.line('There is none. Make one with: tenantry seed');
    else if (rows.length === limit)
      input.terminal.line(`More: tenantry organizations list --after ${rows.at(-1)?.number}`);
    input.terminal.result(rows);
  },
};

const show: Command = {
  name: 'organizations show',
  usage: 'ID|SLUG',
  summary: 'Show one organization.',
  examples: [
    'tenantry organizations show acme',
    'tenantry organizations show 0198c7a0-0000-7000-8000-000000000001 --json',
  ],
  positionals: [1, 1],
  async run(input) {
    const name = input.positionals[0] ?? '';
    const [row] = await readOrganizations(input, 'o.id::text = lower($1::text) or o.slug = $1::text', [name]);
    if (row === undefined) throw new TenantryError('TNT_TENANT_UNKNOWN', `There is no organization "${name}".`);
    for (const [field, value] of Object.entries(row)) {
      input.terminal.line(`${field.padEnd(12)} ${value instanceof Date ? value.toISOString() : String(value ?? '-')}`);
    }
    input.terminal.result(row);
  },
};

const create: Command = {
  name: 'organizations create',
  summary: 'Make an organization with its first administrator.',
  description: 'Runs as the application’s login: the same policies and checks as for a request.',
  examples: ['tenantry organizations create --name Acme --slug acme --admin ann@example.com'],
  options: {
    name: { type: 'string', value: 'NAME', help: '1 to 255 characters.' },
    slug: { type: 'string', value: 'SLUG', help: 'a–z, 0–9 and -, at most 63 characters; unique.' },
    admin: { type: 'string', value: 'EMAIL', help: 'Its first administrator; the user is made when there is none.' },
  },
  async run(input) {
    const [name, slug, email] = [input.option('name'), input.option('slug'), input.option('admin')];
    if (name === undefined || slug === undefined || email === undefined) {
      throw new TenantryError('TNT_USAGE', '--name, --slug and --admin are needed.');
    }
    const { schema } = await input.config();
    const pool = createPool({ connectionString: (await input.database()).appUrl, max: 2 });
    try {
      const kernel = createKernel(pool, schema);
      const userId = await withSystem('create an organization', () => createUsers(kernel).ensure({ email }));
      const made = await withUser({ userId }, () => createOrganizations(kernel).create({ name, slug }));
      input.terminal.line(`${input.terminal.paint('good', 'created')} ${made.slug} ${made.id}, administrator ${email}`);
      input.terminal.result(made);
    } finally {
      await pool.end();
    }
  },
};

export const organizationCommands = [list, show, create];

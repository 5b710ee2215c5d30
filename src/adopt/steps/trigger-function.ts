import type { Statement } from '../../database/sql.ts';
import type { TablePlan } from '../plan-types.ts';
import { type FunctionRole, functionName } from './names.ts';

/** A body may hold names of tables, and a name may hold any tag. */
export function dollarQuoted(body: string): string {
  let tag = 'body';
  while (body.includes(`$${tag}`)) tag += '_';
  return `$${tag}$\n${body}$${tag}$`;
}

/** A trigger function of a table and the way back. It runs as tenantry_owner, whom no policy blinds. */
export function triggerFunction(
  role: FunctionRole,
  table: Pick<TablePlan, 'table'>,
  body: string,
): { readonly up: Statement[]; readonly down: Statement[] } {
  const name = functionName(role, table.table);
  return {
    up: [
      {
        purpose: `what the ${role} trigger of ${table.table} does`,
        text: `create or replace function ${name}() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as ${dollarQuoted(body)}`,
      },
      { purpose: 'it runs as the owner of the tables', text: `alter function ${name}() owner to tenantry_owner` },
      {
        // else anybody could hang it on a table of his own and have it write, as the owner, what he chose
        purpose: 'and nobody else may hang it on another table',
        text: `revoke all on function ${name}() from public`,
      },
    ],
    down: [{ purpose: 'as before', text: `drop function if exists ${name}()` }],
  };
}

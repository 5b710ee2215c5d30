import { ident } from '../../database/sql.ts';
import { type Listing, lookAt, planListings, type Sight, selectRows } from '../decisions/findings.ts';
import { hasTenant } from '../drafts.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { createAliases } from '../tenant-sql.ts';
import { ownRows } from '../steps/verify.ts';
import { perTenant } from './steps.ts';

/** Everything that stops a plan, or that it has an answer for, as statements that read only. */
export function allListings(plan: Plan, sight: Sight): Listing[] {
  const tables = plan.tables.filter((table) => hasTenant(table.class));
  return [...planListings(plan, sight), ...tables.flatMap((table) => duplicateValues(plan, table, sight))];
}

/** Rows that share a value with another row of their tenant, where a key that is not there yet is to be unique per tenant. */
function duplicateValues(plan: Plan, table: TablePlan, sight: Sight): Listing[] {
  return perTenant(table)
    .filter((unique) => unique.definition === null)
    .map(({ name, columns }): Listing => {
      const own = lookAt(plan, table, sight, createAliases());
      const keys = columns.map((column) => `t.${ident(column)}`);
      const rows = `${ownRows(table)} t ${own.joins.join(' ')}`;
      const names = keys.map((_, i) => `k${i}`).join(', ');
      const groups = `(select g.tenant, ${names} from (select ${own.expression} as tenant, ${keys.map((key, i) => `${key} as k${i}`).join(', ')} from ${rows}) g group by g.tenant, ${names} having count(*) > 1)`;
      const on = [`d.tenant is not distinct from ${own.expression}`, ...keys.map((key, i) => `d.k${i} = ${key}`)];
      return {
        table: table.table,
        kind: 'duplicate value',
        ways: [`unique ${name} per tenant`],
        text: selectRows(
          table,
          { tenant: own.shown, other: 'null::text', decision: `'stop'` },
          `${rows} join ${groups} d on ${on.join(' and ')}`,
          plan.constant === null ? `${own.expression} is not null` : 'true',
        ),
      };
    });
}

import type { Conflict } from '../conflicts.ts';
import { describeConflict } from '../conflicts.ts';
import { hasTenant, type TableClass } from '../classify.ts';
import { keyLabel } from '../graph.ts';
import type { Inspection } from '../inspection.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { drawGraph, highlightRules } from './graph-svg.ts';
import { type Markup, markup } from './markup.ts';
import { graphOfPlan, type PageGraph } from './model.ts';
import { phaseRows } from './phase-notes.ts';
import { style } from './style.ts';

export interface PageInput {
  readonly plan: Plan;
  /** For sizes, and for keys that the plan does not follow. */
  readonly inspection: Inspection;
  readonly conflicts: readonly Conflict[];
  /** When it was made; printed at the end. Default now. */
  readonly at?: Date;
}

/**
 * The plan as one HTML file: the tables by class as a picture, each with its reason, and the phases. Nothing is loaded and nothing
 * runs: no script, no font, no network. Every name is escaped.
 */
export function renderPage({ plan, inspection, conflicts, at = new Date() }: PageInput): string {
  const graph = graphOfPlan(plan, inspection);
  const title = `Adoption plan of ${plan.database}`;
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${{ markup: style }}
${{ markup: highlightRules(graph) }}</style>
</head>
<body>
<a class="skip" href="#tables">To the table of tables</a>
<header>
<h1>${title}</h1>
<p class="lead">${leadOf(plan)}</p>
${factsOf(plan, inspection)}
</header>
<main>
${toDecide(plan, conflicts)}
${graphSection(plan, graph)}
${tableSection(plan, inspection, graph)}
${phaseSection(plan)}
</main>
<footer>
<p>Made by <code>tenantry adopt plan --html</code> at ${at.toISOString().slice(0, 16).replace('T', ' ')} UTC. The decisions are in <code>tenantry.plan.yaml</code>; rows are the server’s estimates.</p>
</footer>
</body>
</html>
`.markup;
}

function leadOf(plan: Plan): Markup {
  const column = markup`<code>${plan.column}</code>`;
  if (plan.constant !== null) {
    return markup`Every row belongs to one organization, “<bdi>${plan.constant.name}</bdi>”; tables get the column ${column}.`;
  }
  const tenants =
    plan.root === null
      ? markup`Each row of the plan’s mapping query is a tenant`
      : markup`Each row of <code><bdi>${plan.root.table}</bdi></code> is a tenant`;
  return markup`${tenants}; every row that hangs on it gets the column ${column}, and policies keep tenants apart.`;
}

function factsOf(plan: Plan, inspection: Inspection): Markup {
  const withTenant = plan.tables.filter((table) => hasTenant(table.class));
  const count = (kind: TableClass): number => plan.tables.filter((table) => table.class === kind).length;
  const rows = withTenant.reduce((sum, table) => sum + Math.max(0, table.rows), 0);
  const owned = new Set(withTenant.map((table) => table.table));
  const bytes = inspection.tables.reduce((sum, { name, bytes: own }) => sum + (owned.has(name) ? own : 0), 0);
  const facts: readonly (readonly [string, string])[] = [
    ['tables', String(plan.tables.length)],
    ['get a tenant', String(withTenant.length)],
    ['shared', String(count('shared'))],
    ['undecided', String(count('undecided'))],
    ['rows to fill, about', plan.constant === null ? rows.toLocaleString('en-US') : '0'],
    ['their size', formatBytes(bytes)],
    ['statements', plan.steps.reduce((sum, step) => sum + step.up.length, 0).toLocaleString('en-US')],
    ['PostgreSQL', String(Math.floor(plan.serverVersion / 10_000))],
  ];
  return markup`<dl>${facts.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** What stops a run, above everything else. */
function toDecide(plan: Plan, conflicts: readonly Conflict[]): Markup {
  const undecided = plan.tables.filter((table) => table.class === 'undecided');
  if (undecided.length === 0 && conflicts.length === 0) return markup``;
  return markup`<section class="alert" aria-labelledby="open">
<h2 id="open">To decide before a run</h2>
<ul>${undecided.map(({ table, reason }) => markup`<li><code><bdi>${table}</bdi></code> is undecided: ${reason}</li>`)}${conflicts.map(
    (conflict) => markup`<li>${describeConflict(conflict)}</li>`,
  )}</ul>
</section>`;
}

function graphSection(plan: Plan, graph: PageGraph): Markup {
  const classes = (['root', 'owned', 'join', 'shared', 'undecided'] as const).filter((kind) =>
    graph.nodes.some((node) => node.class === kind),
  );
  const lines = (
    [
      ['via', plan.constant === null ? 'the tenant comes by it' : 'the organization'],
      ['check', 'compared: both ends have one tenant'],
      ['plain', 'any other foreign key'],
    ] as const
  ).filter(([kind]) => graph.edges.some((edge) => edge.kind === kind));
  return markup`<section aria-labelledby="graph">
<h2 id="graph">Tables by class</h2>
<ul class="legend">${classes.map(
    (kind) =>
      markup`<li><svg width="22" height="14" aria-hidden="true" class="${kind}"><rect class="card" width="22" height="14" rx="3"/><rect class="bar" width="4" height="14" rx="2"/></svg>${kind}: ${meanings[kind]}</li>`,
  )}${lines.map(
    ([kind, meaning]) =>
      markup`<li><svg width="26" height="8" aria-hidden="true"><path class="edge ${kind}" d="M0 4H25"/></svg>${meaning}</li>`,
  )}</ul>
<div class="frame" role="region" aria-labelledby="graph" tabindex="0">${drawGraph(graph)}</div>
<p class="hint">Point at a box, or reach it with the Tab key, to see its own lines; Enter goes to its row.</p>
</section>`;
}

const meanings: Readonly<Record<TableClass, string>> = {
  root: 'its rows are the tenants',
  owned: 'each row belongs to one tenant',
  join: 'owned, and joins others',
  shared: 'the same rows for all',
  undecided: 'you decide',
};

function tableSection(plan: Plan, inspection: Inspection, { nodes }: PageGraph): Markup {
  const ids = new Map(nodes.map(({ table, id }) => [table, id]));
  const bytes = new Map(inspection.tables.map((table) => [table.name, table.bytes]));
  return markup`<section aria-labelledby="tables">
<h2 id="tables">Each table and its reason</h2>
<div class="scroll" role="region" aria-labelledby="tables" tabindex="0"><table class="tables">
<caption>${plan.order.length} of ${plan.tables.length} tables get the column. “Via” are the keys the tenant comes by, the first that is not null counts.</caption>
<thead><tr><th scope="col">Table</th><th scope="col">Class</th><th scope="col" class="number">Rows, about</th><th scope="col" class="number">Size</th><th scope="col">Via</th><th scope="col">Also compared</th><th scope="col">Confidence</th><th scope="col">Reason</th></tr></thead>
<tbody>
${plan.tables.map((table) => tableRow(table, ids.get(table.table) ?? 0, bytes.get(table.table)))}</tbody>
</table></div>
</section>`;
}

function tableRow(table: TablePlan, id: number, bytes: number | undefined): Markup {
  const keys = (list: TablePlan['via']): Markup =>
    markup`${list.map((key, i) => markup`${i === 0 ? '' : markup`<br>`}<code><bdi>${keyLabel(key)}</bdi></code> → <bdi>${key.parent}</bdi>`)}`;
  return markup`<tr id="t${id}"><th scope="row"><code><bdi>${table.table}</bdi></code></th><td class="class ${table.class}">${table.class}</td><td class="number">${table.rows < 0 ? 'not analyzed' : table.rows.toLocaleString('en-US')}</td><td class="number">${bytes === undefined ? '' : formatBytes(bytes)}</td><td>${keys(table.via)}</td><td>${keys(table.checks)}</td><td${table.confidence === 'low' ? markup` class="low"` : ''}>${table.confidence}</td><td>${table.reason}</td></tr>
`;
}

function phaseSection(plan: Plan): Markup {
  return markup`<section aria-labelledby="phases">
<h2 id="phases">Phases</h2>
<div class="scroll" role="region" aria-labelledby="phases" tabindex="0"><table class="phases">
<caption>A run stops after any of them with <code>--to</code>, and <code>undo</code> goes back from any of them. <code>tenantry adopt plan --sql</code> prints the statements.</caption>
<thead><tr><th scope="col">Phase</th><th scope="col">What happens</th><th scope="col">What the application notices</th><th scope="col" class="number">Steps</th><th scope="col" class="number">Statements</th></tr></thead>
<tbody>
${phaseRows(plan).map(
  (row) =>
    markup`<tr><th scope="row">${row.phase}</th><td>${row.does}</td><td>${row.notices}</td><td class="number">${row.steps}</td><td class="number">${row.statements}</td></tr>
`,
)}</tbody>
</table></div>
</section>`;
}

function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

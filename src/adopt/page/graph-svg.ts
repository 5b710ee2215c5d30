import { type Box, layOut, type Placed } from './layout.ts';
import { type Markup, markup } from './markup.ts';
import type { PageEdge, PageGraph, PageNode } from './model.ts';

/** From how many lines on those that carry no tenant are shown for the box under the pointer alone. */
const manyEdges = 90;

/** The graph as SVG: boxes are links to the rows of the table below it, so that keyboard and screen reader get there too. */
export function drawGraph(graph: PageGraph): Markup {
  const placed = layOut(graph);
  const { width, height, bands } = placed;
  const look = `graph${placed.box.compact ? ' compact' : ''}${graph.edges.length > manyEdges ? ' quiet' : ''}`;
  return markup`<svg class="${look}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="group" aria-labelledby="graph-title graph-text">
<title id="graph-title">Tables by class</title>
<desc id="graph-text">The tenant stands at the left, every other table as far from it as its rows are by foreign keys. The same is said in the table below.</desc>
<defs>${(['via', 'check', 'plain'] as const).map((kind) => markup`<marker id="end-${kind}" class="end ${kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="${kind === 'via' ? 5 : 7}" markerHeight="${kind === 'via' ? 5 : 7}" orient="auto"><path d="M0 0.5 8 4 0 7.5z"/></marker>`)}</defs>
${bands.map(({ title, x, y }) => markup`<text class="band" x="${x}" y="${y}">${title}</text>`)}
<g aria-hidden="true">${graph.edges.toSorted(boldLast).map((edge) => drawEdge(edge, placed))}</g>
${graph.nodes.map((node) => drawNode(node, placed))}
</svg>`;
}

/** One rule for each box, so that its own lines stand out while it is pointed at. */
export function highlightRules({ nodes }: PageGraph): string {
  return nodes
    .map(({ id }) => `.graph:has(#n${id}:is(:hover,:focus-visible)) .e${id}{opacity:1;stroke-width:2.6}`)
    .join('\n');
}

const order = ['plain', 'check', 'via'];
const boldLast = (a: PageEdge, b: PageEdge): number => order.indexOf(a.kind) - order.indexOf(b.kind);

function drawEdge({ from, to, kind, label }: PageEdge, placed: Placed): Markup {
  const { at } = placed;
  const child = at.get(from);
  const parent = at.get(to);
  if (child === undefined || parent === undefined) return markup``;
  return markup`<path class="edge ${kind} e${from} e${to}" d="${pathOf(child, parent, placed, kind)}" marker-end="url(#end-${kind})"><title>${label}</title></path>`;
}

interface Corner {
  readonly x: number;
  readonly y: number;
}

const round = (value: number): number => Math.round(value * 10) / 10;

function pathOf(child: Corner, parent: Corner, { box, direction }: Placed, kind: PageEdge['kind']): string {
  if (child === parent) {
    const reach = round(box.height * 0.44);
    return `M${round(child.x + box.width)} ${round(child.y + box.height * 0.28)}c17 -3 17 ${round(reach + 3)} 1 ${reach}`;
  }
  const overlap = Math.abs(child.x - parent.x) < box.width;
  // to the tables below, which have no tenant, a line runs down; within a layer it goes around
  if (direction === 'across' && overlap && kind !== 'plain') return bow(child, parent, box);
  if (direction === 'down' && Math.abs(child.y - parent.y) < box.height) return beside(child, parent, box);
  return overlap || direction === 'down' ? upright(child, parent, box) : beside(child, parent, box);
}

/** Neighbours in one column: around them, at the right. */
function bow(child: Corner, parent: Corner, box: Box): string {
  const x = round(child.x + box.width);
  const end = round(parent.x + box.width + 1);
  const out = round(Math.max(x, end) + 22 + Math.min(30, Math.abs(child.y - parent.y) / 12));
  const [from, to] = [round(child.y + box.height / 2), round(parent.y + box.height / 2)];
  return `M${x} ${from}C${out} ${from} ${out} ${to} ${end} ${to}`;
}

function upright(child: Corner, parent: Corner, box: Box): string {
  const down = parent.y > child.y;
  const x1 = round(child.x + box.width / 2);
  const x2 = round(parent.x + box.width / 2);
  const y1 = round(down ? child.y + box.height : child.y);
  const y2 = round(down ? parent.y - 1 : parent.y + box.height + 1);
  const half = round((y1 + y2) / 2);
  return `M${x1} ${y1}C${x1} ${half} ${x2} ${half} ${x2} ${y2}`;
}

function beside(child: Corner, parent: Corner, box: Box): string {
  const left = parent.x < child.x;
  const x1 = round(left ? child.x : child.x + box.width);
  const x2 = round(left ? parent.x + box.width + 1 : parent.x - 1);
  const y1 = round(child.y + box.height / 2);
  const y2 = round(parent.y + box.height / 2);
  const bend = round(Math.max(22, Math.abs(x1 - x2) / 2) * (left ? -1 : 1));
  return `M${x1} ${y1}C${round(x1 + bend)} ${y1} ${round(x2 - bend)} ${y2} ${x2} ${y2}`;
}

function drawNode(node: PageNode, { at, box }: Placed): Markup {
  const place = at.get(node.id);
  if (place === undefined) return markup``;
  const rows = node.rows < 0 ? '' : ` · ${shortCount(node.rows)} row${node.rows === 1 ? '' : 's'}`;
  const note = `${node.table === null ? 'organization' : node.class}${rows}`;
  const card = markup`<rect class="card" width="${box.width}" height="${box.height}" rx="${box.compact ? 4 : 6}"/><rect class="bar" width="5" height="${box.height}" rx="2.5"/>`;
  const drawn = box.compact
    ? markup`${card}<text class="name" x="12" y="15.5">${shorten(node.label, 20)}</text>`
    : markup`${card}<text class="name" x="14" y="17">${shorten(node.label, 22)}</text><text class="note" x="14" y="31">${note}</text>`;
  const where = `translate(${round(place.x)} ${round(place.y)})`;
  if (node.table === null)
    return markup`<g id="n${node.id}" class="node ${node.class}" transform="${where}"><title>${node.label}</title>${drawn}</g>`;
  return markup`<a id="n${node.id}" href="#t${node.id}" class="node ${node.class}" transform="${where}" aria-label="${node.table}, ${node.class}"><title>${node.table}: ${note}</title>${drawn}</a>
`;
}

/** The beginning and the end of a name tell more than its first letters alone. */
function shorten(text: string, longest: number): string {
  const letters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  if (letters.length <= longest) return text;
  const head = Math.ceil((longest - 1) * 0.58);
  return `${letters.slice(0, head).join('')}…${letters.slice(head + 1 - longest).join('')}`;
}

/** `1.2 M`: an estimate of the server, not a count. */
export function shortCount(rows: number): string {
  if (rows < 1000) return String(Math.round(rows));
  const units = ['k', 'M', 'G', 'T'];
  let value = rows;
  let unit = -1;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ''}`;
}

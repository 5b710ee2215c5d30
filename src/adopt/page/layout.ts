import type { PageEdge, PageGraph, PageNode } from './model.ts';

/** A group of boxes under a heading: a distance from the root, or the tables without a tenant. */
export interface Band {
  readonly title: string;
  readonly x: number;
  readonly y: number;
}

export interface Box {
  readonly width: number;
  readonly height: number;
  /** One line of text. */
  readonly compact: boolean;
}

export interface Placed {
  readonly width: number;
  readonly height: number;
  readonly box: Box;
  /** Where the layers run to: `across` from left to right, `down` the page. */
  readonly direction: 'across' | 'down';
  readonly bands: readonly Band[];
  /** Left upper corner of each box, by node id. */
  readonly at: ReadonlyMap<number, { readonly x: number; readonly y: number }>;
}

const large: Box = { width: 178, height: 40, compact: false };
const small: Box = { width: 154, height: 23, compact: true };
const gap = { layer: 64, band: 40, column: 12, row: 9 } as const;
const margin = 10;
/** Room at the right for lines within the last layer. */
const bow = 48;
const heading = 30;
/** As wide as a page of text beside nothing: below it nobody has to scroll sideways. */
const widest = 1180;
/** More boxes below each other than these, and the layers run down the page, each in rows. */
const mostRows = 14;

/**
 * Places the boxes: the root first, each layer behind the one before, tables without a tenant at the end. Few tables run from left
 * to right; many run down the page, in smaller boxes. Pure: the same graph gives the same picture.
 */
export function layOut(graph: PageGraph): Placed {
  const layers = untangle(groupLayers(graph), graph.edges);
  const rows = rowsThatFit(layers.map((layer) => layer.length));
  const at = new Map<number, { x: number; y: number }>();
  const bands: Band[] = [];
  if (rows <= mostRows) {
    const { width, bottom } = placeAcross(layers, rows, at, bands);
    return {
      width,
      height: placeOthers(graph, at, bands, width, bottom, large),
      box: large,
      direction: 'across',
      bands,
      at,
    };
  }
  const width = 2 * margin + columnsOf(widest, small) * (small.width + gap.column) - gap.column;
  const bottom = placeDown(layers, width, at, bands);
  return {
    width,
    height: placeOthers(graph, at, bands, width, bottom, small),
    box: small,
    direction: 'down',
    bands,
    at,
  };
}

function placeAcross(
  layers: readonly PageNode[][],
  rows: number,
  at: Map<number, { x: number; y: number }>,
  bands: Band[],
): { width: number; bottom: number } {
  const tallest = Math.min(rows, Math.max(0, ...layers.map((layer) => layer.length)));
  let x: number = margin;
  for (const [i, layer] of layers.entries()) {
    const columns = Math.max(1, Math.ceil(layer.length / rows));
    const perColumn = Math.ceil(layer.length / columns);
    const top = margin + heading + ((tallest - perColumn) * (large.height + gap.row)) / 2;
    bands.push({ title: distance(i), x, y: margin + 14 });
    for (const [n, node] of layer.entries()) {
      at.set(node.id, {
        x: x + Math.floor(n / perColumn) * (large.width + gap.column),
        y: top + (n % perColumn) * (large.height + gap.row),
      });
    }
    x += columns * (large.width + gap.column) - gap.column + gap.layer;
  }
  return {
    width: Math.max(x - gap.layer + bow, 3 * (large.width + gap.column)),
    bottom: layers.length === 0 ? margin : margin + heading + tallest * (large.height + gap.row),
  };
}

function placeDown(
  layers: readonly PageNode[][],
  width: number,
  at: Map<number, { x: number; y: number }>,
  bands: Band[],
): number {
  const columns = columnsOf(width, small);
  let y = margin;
  for (const [i, layer] of layers.entries()) {
    bands.push({ title: distance(i), x: margin, y: y + 14 });
    y += heading - 6;
    const used = Math.min(columns, layer.length);
    const left = layer.length < columns ? (width - used * (small.width + gap.column) + gap.column) / 2 : margin;
    for (const [n, node] of layer.entries()) {
      at.set(node.id, {
        x: left + (n % columns) * (small.width + gap.column),
        y: y + Math.floor(n / columns) * (small.height + gap.row),
      });
    }
    y += Math.ceil(layer.length / columns) * (small.height + gap.row) + gap.band - gap.row;
  }
  return y - gap.band + gap.row;
}

const distance = (steps: number): string => (steps === 0 ? 'tenant' : `${steps} step${steps === 1 ? '' : 's'} away`);

const columnsOf = (width: number, box: Box): number =>
  Math.max(1, Math.floor((width - 2 * margin + gap.column) / (box.width + gap.column)));

function groupLayers({ nodes }: PageGraph): PageNode[][] {
  const layers: PageNode[][] = [];
  for (const node of nodes) {
    if (node.layer === null) continue;
    while (layers.length <= node.layer) layers.push([]);
    layers[node.layer]?.push(node);
  }
  return layers.filter((layer) => layer.length > 0);
}

/** The fewest rows with which all layers stand beside each other within the width; infinite where none do. */
function rowsThatFit(sizes: readonly number[]): number {
  const most = Math.max(1, ...sizes);
  for (let rows = Math.min(10, most); rows <= most; rows += 1) {
    const columns = sizes.map((size) => Math.ceil(size / rows));
    const width = columns.reduce((sum, count) => sum + count * (large.width + gap.column) - gap.column + gap.layer, 0);
    if (width - gap.layer <= widest) return rows;
  }
  return Number.POSITIVE_INFINITY;
}

/** Few crossings: each layer in the order of where its parents stand, twice over, so that the first layers settle too. */
function untangle(layers: readonly PageNode[][], edges: readonly PageEdge[]): PageNode[][] {
  const neighbours = new Map<number, number[]>();
  const tie = (a: number, b: number): void => {
    neighbours.set(a, [...(neighbours.get(a) ?? []), b]);
  };
  for (const { from, to, kind } of edges) {
    if (kind === 'plain') continue;
    tie(from, to);
    tie(to, from);
  }
  const place = new Map<number, number>();
  const settle = (layer: readonly PageNode[]): void => {
    for (const [i, node] of layer.entries()) place.set(node.id, layer.length === 1 ? 0.5 : i / (layer.length - 1));
  };
  const center = (node: PageNode): number => {
    const places = (neighbours.get(node.id) ?? []).flatMap((id) => place.get(id) ?? []);
    return places.length === 0 ? 0.5 : places.reduce((sum, one) => sum + one, 0) / places.length;
  };
  let result = layers.map((layer) => [...layer]);
  for (const layer of result) settle(layer);
  for (const order of [result.keys(), [...result.keys()].reverse(), result.keys()]) {
    for (const i of order) {
      const centers = new Map((result[i] ?? []).map((node) => [node, center(node)]));
      const sorted = (result[i] ?? []).toSorted((a, b) => (centers.get(a) ?? 0) - (centers.get(b) ?? 0));
      result = result.map((layer, n) => (n === i ? sorted : layer));
      settle(sorted);
    }
  }
  return result;
}

/** Undecided tables first: they ask for something. */
function placeOthers(
  { nodes }: PageGraph,
  at: Map<number, { x: number; y: number }>,
  bands: Band[],
  width: number,
  from: number,
  box: Box,
): number {
  const columns = columnsOf(width, box);
  let y = from;
  for (const [kind, title] of [
    ['undecided', 'undecided'],
    ['shared', 'shared by all tenants'],
  ] as const) {
    const group = nodes.filter((node) => node.layer === null && node.class === kind);
    if (group.length === 0) continue;
    y += at.size === 0 ? 0 : 16;
    bands.push({ title, x: margin, y: y + 14 });
    y += heading - 6;
    for (const [i, node] of group.entries()) {
      at.set(node.id, {
        x: margin + (i % columns) * (box.width + gap.column),
        y: y + Math.floor(i / columns) * (box.height + gap.row),
      });
    }
    y += Math.ceil(group.length / columns) * (box.height + gap.row);
  }
  return y + margin;
}

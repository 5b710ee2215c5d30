import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { planAdoption } from '../../../src/adopt/index.ts';
import { renderPage } from '../../../src/adopt/page/page.ts';
import { tenantry } from '../../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { manyTables } from './many-tables.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const attack = `<script>alert(1)</script>`;
const breakOut = `"><img src=x onerror=alert(2)>`;

/** Elements and their nesting, as far as a browser would see them: every tag, closed or not. */
function tagsOf(html: string): string[] {
  return [...html.matchAll(/<(\/?[a-zA-Z!][^\s>/]*)/g)].map((m) => m[1]!.toLowerCase());
}

/** Closing tags match their opening ones, as XML would have it. */
function misnested(html: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [, slash, name, self] of html.matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*?(\/?)>/g)) {
    if (slash === '/') {
      const last = open.pop();
      if (last !== name) wrong.push(`</${name}> closes <${last}>`);
    } else if (self !== '/' && !['meta', 'br'].includes(name!)) open.push(name!);
  }
  return [...wrong, ...open.map((name) => `<${name}> stays open`)];
}

describe('B7: the page of a plan', () => {
  let db: TestDatabase;
  let folder: string;
  let html: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tenantry-page-'));
    db = await createTestDatabase();
    const hostile = breakOut.replaceAll('"', '""');
    await db.query(`
      create table public.shops (id bigint primary key, name text);
      create table public."${attack}" (id bigint primary key, "${hostile}" bigint not null references public.shops (id));
      create table public."${hostile}" (id bigint primary key, parent bigint references public."${attack}" (id), other bigint references public.shops (id));
      create table public."javascript:alert(3)" (id bigint primary key);
      create table public.plain (id bigint primary key, parent bigint not null references public."${hostile}" (id));
      insert into public.shops values (1, 'One');`);
    const path = join(folder, 'plan.html');
    const result = await tenantry(
      ['adopt', 'plan', '--root', 'public.shops', '--html', path, '--file', join(folder, 'plan.yaml')],
      { DATABASE_URL: db.adminUrl },
    );
    expect(result).toMatchObject({ code: 0, err: '', out: `wrote ${path}: open it in a browser\n` });
    expect(existsSync(join(folder, 'plan.yaml'))).toBe(false);
    html = await readFile(path, 'utf8');
  });
  afterAll(async () => {
    await db.drop();
    await rm(folder, { recursive: true, force: true });
  });

  test('escapes every name, in text and in attributes: a table named <script> is a name', () => {
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(html).toContain('&quot;&quot;&gt;&lt;img src=x onerror=alert(2)&gt;');
    expect(
      tagsOf(html).filter((tag) => ['script', '/script', 'img', 'iframe', 'link', 'object'].includes(tag)),
    ).toEqual([]);
    // quoted values aside, no tag has a handler
    expect([...html.replace(/"[^"]*"/g, '""').matchAll(/<[^>]*\son\w+\s*=/g)]).toEqual([]);
    expect(misnested(html.replace(/<style>[^]*?<\/style>/, ''))).toEqual([]);
    // links go to rows of the page by number, never to what a name says
    expect(new Set([...html.matchAll(/href="([^"]*)"/g)].map((m) => m[1]!.replace(/\d+$/, '')))).toEqual(
      new Set(['#tables', '#t']),
    );
  });

  test('loads nothing and runs nothing', () => {
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
    expect([...html.matchAll(/https?:|url\((?!#)|@import|\ssrc="/g)].map(String)).toEqual([]);
  });

  test('says of each table class, reason, confidence and way, and of each phase what the application notices', () => {
    const row = /<tr id="t\d+"><th scope="row"><code><bdi>public\.plain<\/bdi>.*<\/tr>/.exec(html)![0];
    expect(row).toContain('<td class="class owned">owned</td>');
    expect(row).toContain('reached by public.plain.parent');
    expect(html).toMatch(/is undecided: no foreign key leads from it to public\.shops/);
    for (const phase of ['preflight', 'expand', 'backfill', 'verify', 'tighten', 'shadow', 'enforced'])
      expect(html).toContain(`<th scope="row">${phase}</th>`);
    const boxes = [...html.matchAll(/<a id="n\d+" href="#(t\d+)"[^>]*aria-label="([^"]*)"/g)];
    expect(boxes).toHaveLength(5);
    for (const [, target] of boxes) expect(html).toContain(`<tr id="${target}">`);
    expect(html.match(/class="edge via/g)!.length).toBeGreaterThanOrEqual(3);
  });

  test('draws two hundred tables without one box upon another, none outside, and none wider than a screen', () => {
    for (const tables of [10, 60, 200]) {
      const inspection = manyTables(tables);
      const plan = planAdoption(inspection, { root: 'public.accounts' });
      const page = renderPage({ plan, inspection, conflicts: [], at: new Date(0) });
      expect(misnested(page.replace(/<style>[^]*?<\/style>/, ''))).toEqual([]);
      const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(page)!.map(Number);
      const card = /<rect class="card" width="(\d+)" height="(\d+)" rx="\d"\/><rect class="bar" width="5"/.exec(page)!;
      const [w, h] = [Number(card[1]), Number(card[2])];
      const boxes = [...page.matchAll(/transform="translate\(([\d.]+) ([\d.]+)\)"/g)].map(
        (m) => [Number(m[1]), Number(m[2])] as const,
      );
      expect(boxes).toHaveLength(tables);
      expect(width).toBeLessThanOrEqual(1240);
      for (const [i, [x, y]] of boxes.entries()) {
        expect(x + w).toBeLessThanOrEqual(width!);
        expect(y + h).toBeLessThanOrEqual(height!);
        for (const [x2, y2] of boxes.slice(i + 1))
          expect(Math.abs(x - x2) >= w || Math.abs(y - y2) >= h, `${x} ${y} and ${x2} ${y2}`).toBe(true);
      }
      expect(renderPage({ plan, inspection, conflicts: [], at: new Date(0) })).toBe(page);
    }
  });

  test('shows one organization for a constant tenant', () => {
    const inspection = manyTables(12);
    const page = renderPage({
      plan: planAdoption(inspection, { constant: 'Big & "Co" <x>' }),
      inspection,
      conflicts: [],
    });
    expect(page).toContain('Big &amp; &quot;Co&quot; &lt;x&gt;');
    expect(misnested(page.replace(/<style>[^]*?<\/style>/, ''))).toEqual([]);
  });
});

// A real browser, where one is installed: what it parses is what was meant, and nothing ran.
const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
describe.skipIf(chromium === undefined || process.env['CI'] !== undefined)('B7: the page in a browser', () => {
  test('has the names as text and no element of theirs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tenantry-page-'));
    try {
      const inspection = manyTables(5, [attack, breakOut]);
      const page = renderPage({
        plan: planAdoption(inspection, { root: 'public.accounts' }),
        inspection,
        conflicts: [],
      });
      const path = join(folder, 'page.html');
      await (await import('node:fs/promises')).writeFile(path, page);
      const { stdout } = await promisify(execFile)(
        chromium!,
        [
          '--headless',
          '--no-sandbox',
          '--disable-gpu',
          '--dump-dom',
          `--user-data-dir=${folder}/profile`,
          `file://${path}`,
        ],
        { maxBuffer: 10_000_000 },
      );
      expect(stdout).not.toMatch(/<script|<img/);
      expect(stdout).toContain('&lt;script&gt;alert(1)');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

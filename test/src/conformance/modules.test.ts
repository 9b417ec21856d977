/** What no type and no lint rule says about the sources under modules/. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { describe, expect, test } from 'vitest';
import { packages, root, sources } from './workspace.ts';

/** The part of a syntax tree's node that is read here; other keys hold nodes too. */
interface Node {
  readonly type: string;
  readonly kind?: string;
  readonly declaration?: Node | null;
  readonly declarations?: readonly { readonly id: Bound; readonly init: Node | null }[];
  readonly callee?: { readonly name?: string };
  readonly start: number;
}

/** A declared name with its type. */
interface Bound {
  readonly typeAnnotation?: { readonly typeAnnotation: { readonly typeName?: { readonly name?: string } } } | null;
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const parse = (file: string): Node[] => parseAst(read(file), { lang: 'ts' }).body as unknown as Node[]; // the parser's own types know no TypeScript nodes
const line = (file: string, node: Node): string => `${file}:${read(file).slice(0, node.start).split('\n').length}`;

const modulePackages = packages().filter((pkg) => pkg.dir.startsWith('modules/'));
const code = modulePackages.flatMap(sources).filter((file) => !/\.test\.ts$|\/testing\//.test(file));

/** Collections are state, unless their type says that nobody writes: `const known: ReadonlySet<number> = new Set([...])`. */
const stateful = new Set(['Map', 'Set', 'WeakMap', 'WeakSet', 'Array', 'ArrayBuffer', 'SharedArrayBuffer']);

/** Top-level state of a file: `let`, `var`, and constants that hold a fresh collection. */
export function moduleState(body: readonly Node[]): Node[] {
  const found: Node[] = [];
  for (const statement of body) {
    const node = statement.declaration ?? statement;
    if (node.type !== 'VariableDeclaration') continue;
    const collections = (node.declarations ?? [])
      .filter((d) => d.init?.type === 'NewExpression' && stateful.has(d.init.callee?.name ?? ''))
      .filter((d) => !/^Readonly(Set|Map|Array)$/.test(d.id.typeAnnotation?.typeAnnotation.typeName?.name ?? ''));
    if (node.kind !== 'const' || collections.length > 0) found.push(node);
  }
  return found;
}

/** Every node of a tree. */
function* walk(node: unknown): Generator<Node> {
  if (Array.isArray(node)) for (const n of node) yield* walk(n);
  else if (typeof node === 'object' && node !== null) {
    if ('type' in node) yield node as Node;
    for (const value of Object.values(node)) yield* walk(value);
  }
}

describe('a module', () => {
  test('keeps no state outside module_init', () => {
    expect(code.flatMap((file) => moduleState(parse(file)).map((node) => line(file, node)))).toEqual([]);
  });

  test('imports nothing while it runs', () => {
    expect(code.flatMap((file) => [...walk(parse(file))].filter((n) => n.type === 'ImportExpression').map((n) => line(file, n)))).toEqual([]);
  });

  test('has a header without values', () => {
    const values = new Set(['VariableDeclaration', 'FunctionDeclaration', 'ClassDeclaration', 'TSEnumDeclaration', 'ExportDefaultDeclaration']);
    const headers = modulePackages.map((pkg) => `${pkg.dir}/src/header.ts`).filter((file) => existsSync(join(root, file)));
    expect(headers.flatMap((file) => parse(file).filter((s) => values.has((s.declaration ?? s).type)).map((s) => line(file, s)))).toEqual([]);
  });

  test('offers types only, so that Node itself refuses to import it', () => {
    for (const { dir } of modulePackages) {
      const json = JSON.parse(read(`${dir}/package.json`)) as { exports: unknown };
      expect(json.exports, dir).toEqual({ '.': { types: './dist/header.d.ts' } });
    }
  });
});

test.each([
  ['let n = 0;', 1],
  ['export let n = 0;', 1],
  ['const seen = new Map();', 1],
  ['export const seen = new Set([1]);', 1],
  ['const NAMES = new Set(["a"]);', 1],
  ['const names: ReadonlySet<string> = new Set(["a"]);', 0],
  ['const names = ["a"];', 0],
  ['function f() { const seen = new Map(); let n = 0; }', 0],
  ['export default defineModule({ module_init() { const m = new Map(); } });', 0],
])('%j counts as %i piece(s) of module-level state', (text, count) => {
  expect(moduleState(parseAst(text, { lang: 'ts' }).body as unknown as Node[])).toHaveLength(count);
});

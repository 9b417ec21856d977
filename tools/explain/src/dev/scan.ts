/**
 * Which rules the sources can refuse by: every `new KernelError(errno, rule, text)` and `foldError(...)`, with helpers
 * that build the rule's id from a parameter followed to their callers.
 *
 * TypeScript 7 has no compiler API, so the syntax tree comes from rolldown's parser.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseAst } from 'rolldown/parseAst';

/** A place that refuses. */
export interface RuleSite {
  readonly rule: string;
  /** Errno names; empty where the place hands on what it was given. */
  readonly errnos: readonly string[];
  /** `modules/vdpa-core/src/device.ts` */
  readonly file: string;
  /** 1-based */
  readonly line: number;
}

/** What a scan found. */
export interface Scan {
  readonly sites: readonly RuleSite[];
  /** Places whose rule cannot be told from the sources, as `file:line: text`. */
  readonly unresolved: readonly string[];
}

/** A node of the ESTree/TS-ESTree syntax; its shape is the parser's business. */
interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

interface Func {
  readonly name: string | null;
  readonly params: readonly Node[];
  readonly node: Node;
  readonly file: SourceFile;
  /** The function around it. */
  readonly outer: Func | null;
}

interface Call {
  readonly args: readonly Node[];
  readonly inside: Func | null;
  readonly file: SourceFile;
  readonly node: Node;
}

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly constants: Map<string, Node>;
  /** Names of its functions. */
  readonly functions: Set<string>;
  /** Names of its classes that extend KernelError. */
  readonly errors: Set<string>;
}

interface Package {
  readonly calls: Map<string, Call[]>;
  readonly made: Call[];
}

/** Scan all packages of a workspace; tests and helpers of tests are left out. */
export function scanWorkspace(root: string): Scan {
  const sites: RuleSite[] = [];
  const unresolved: string[] = [];
  for (const room of ['modules', 'tools']) {
    for (const name of readdirSync(join(root, room)).sort()) {
      const src = join(root, room, name, 'src');
      const files = sources(src).map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }));
      const found = scanPackage(files);
      sites.push(...found.sites);
      unresolved.push(...found.unresolved);
    }
  }
  return { sites, unresolved };
}

function sources(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true, recursive: true })
      .filter((e) => e.isFile() && e.name.endsWith('.ts') && !/\.test\.ts$|\.arbitrary\.ts$|\.fixture\.ts$/.test(e.name))
      .map((e) => join(e.parentPath, e.name))
      .filter((path) => !/\/(testing|bench|vdpa-parent)\//.test(path) && !path.includes('/tools/testing/'))
      .sort();
  } catch {
    return []; // a package without sources
  }
}

/** Scan the files of one package: helpers are followed within it. */
export function scanPackage(files: readonly { readonly path: string; readonly text: string }[]): Scan {
  const pkg: Package = { calls: new Map(), made: [] };
  for (const { path, text } of files) {
    const file: SourceFile = { path, text, constants: new Map(), functions: new Set(), errors: new Set() };
    walk(parseAst(text, { lang: 'ts' }) as unknown as Node, null, file, pkg);
  }
  const sites = new Map<string, RuleSite>();
  const unresolved: string[] = [];
  for (const made of pkg.made) {
    if (isMaker(made)) continue;
    const line = made.file.text.slice(0, made.node.start).split('\n').length;
    const pairs = resolve(pkg, made, new Set());
    if (pairs === null) unresolved.push(`${made.file.path}:${line}: ${made.file.text.split('\n')[line - 1]?.trim() ?? ''}`);
    for (const { errnos, rule } of pairs ?? []) {
      const key = `${rule} ${made.file.path}:${line}`;
      const before = sites.get(key);
      sites.set(key, { rule, file: made.file.path, line, errnos: [...new Set([...(before?.errnos ?? []), ...errnos])].sort() });
    }
  }
  return { sites: [...sites.values()], unresolved };
}

/** Collect calls and constructions under a node. @param name what a function there is called by */
function walk(node: Node, inside: Func | null, file: SourceFile, pkg: Package, name: string | null = null): void {
  let scope = inside;
  switch (node.type) {
    case 'ClassDeclaration': // a refusal of its own kind: `new` is a call of its constructor
      if (idName(node['superClass']) === 'KernelError') {
        file.errors.add(idName(node['id']) ?? '');
        for (const member of (node['body'] as Node)['body'] as Node[]) {
          if (member['kind'] === 'constructor') walk(member['value'] as Node, inside, file, pkg, idName(node['id']));
        }
        return;
      }
      break;
    case 'FunctionDeclaration':
      scope = { name: idName(node['id']), params: node['params'] as Node[], node, file, outer: inside };
      if (scope.name !== null) file.functions.add(scope.name);
      break;
    case 'ArrowFunctionExpression':
    case 'FunctionExpression':
      scope = { name, params: node['params'] as Node[], node, file, outer: inside };
      if (name !== null) file.functions.add(name);
      break;
    case 'VariableDeclarator': {
      const id = idName(node['id']);
      if (id !== null && node['init']) file.constants.set(id, node['init'] as Node);
      break;
    }
    case 'NewExpression':
    case 'CallExpression': {
      const callee = node['callee'] as Node;
      const called = callee.type === 'MemberExpression' ? idName(callee['property']) : idName(callee);
      const call: Call = { args: node['arguments'] as Node[], inside, file, node };
      if (called === 'KernelError' || called === 'foldError' || (callee.type === 'Super' && file.errors.has(inside?.name ?? '')) || isRingRefusal(file, callee)) pkg.made.push(call);
      else if (called !== null) pkg.calls.set(called, [...(pkg.calls.get(called) ?? []), call]);
      break;
    }
    default:
  }
  for (const [key, value] of Object.entries(node)) {
    if (key === 'typeAnnotation' || key === 'returnType') continue;
    const named = nameFor(node, key);
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child === 'object' && child !== null && typeof (child as Node).type === 'string') walk(child as Node, scope, file, pkg, named);
    }
  }
}

/** Rings refuse by numbers, for speed: their owner makes the error of what `this.fail(errno, rule, text)` left behind. */
function isRingRefusal(file: SourceFile, callee: Node): boolean {
  return file.path.startsWith('tools/vring/') && callee.type === 'MemberExpression' && idName(callee['property']) === 'fail';
}

/** Makers of errors, whose own argument is nobody's rule. */
function isMaker(made: Call): boolean {
  return made.file.path === 'tools/abi/src/error.ts' || (made.file.path.startsWith('modules/vringh/') && made.inside?.name === '#refusal');
}

/** The name that a function gets from where it stands: `const f = () =>`, `f(x) {}` of a class, `f: () =>`. */
function nameFor(node: Node, key: string): string | null {
  if (node.type === 'VariableDeclarator' && key === 'init') return idName(node['id']);
  if ((node.type === 'MethodDefinition' || node.type === 'Property' || node.type === 'PropertyDefinition') && key === 'value') return idName(node['key']);
  return null;
}

function idName(node: unknown): string | null {
  const n = node as Node | null | undefined;
  if (n?.type === 'PrivateIdentifier') return `#${n['name'] as string}`;
  return n?.type === 'Identifier' ? (n['name'] as string) : null;
}

interface Pair {
  readonly errnos: readonly string[];
  readonly rule: string;
}

/** Both arguments of a construction; parameters of helpers are bound call by call, so that pairs stay pairs. */
function resolve(pkg: Package, made: Call, seen: Set<Func>): Pair[] | null {
  const [errno, rule] = made.args;
  if (errno === undefined || rule === undefined) return null;
  return bind(pkg, { errno: parts(errno, made), rule: parts(rule, made) }, seen);
}

/** Alternatives of an expression, each a list of texts and of parameters still to be bound. */
type Piece = string | { readonly param: number; readonly of: Func; readonly property: string | null } | null;
type Alternatives = readonly (readonly Piece[])[];

function bind(pkg: Package, args: { readonly errno: Alternatives; readonly rule: Alternatives }, seen: Set<Func>): Pair[] | null {
  const open = [...args.rule, ...args.errno].flat().find((p): p is Exclude<Piece, string | null> => typeof p === 'object' && p !== null);
  if (open === undefined) {
    const errnos = args.errno.flatMap((a) => (a.length === 1 && typeof a[0] === 'string' ? [a[0]] : []));
    const rules = args.rule.map((a) => (a.every((p) => typeof p === 'string') ? a.join('') : null));
    if (rules.length === 0 || rules.some((r) => r === null || !r.includes('.'))) return null;
    return (rules as string[]).map((rule) => ({ rule, errnos }));
  }
  const func = open.of;
  const calls = func.name === null || seen.has(func) ? [] : pkg.calls.get(func.name) ?? [];
  if (calls.length === 0) {
    // an errno that is only handed on
    return args.rule.some((a) => a.some((p) => typeof p === 'object')) ? null
      : bind(pkg, { rule: args.rule, errno: args.errno.filter((a) => a.every((p) => typeof p === 'string')) }, seen);
  }
  const pairs: Pair[] = [];
  for (const call of calls) {
    if (call.file !== func.file && !mayMean(call.file, func)) continue;
    const put = (all: Alternatives): Alternatives => all.flatMap((pieces) => substitute(pieces, func, call));
    const found = bind(pkg, { errno: put(args.errno), rule: put(args.rule) }, new Set([...seen, func]));
    if (found === null) {
      if (sameShape(call, func)) return null;
      continue;
    }
    pairs.push(...found);
  }
  return pairs.length === 0 ? null : pairs;
}

/** Whether the name in another file of the package can mean this function. */
function mayMean(file: SourceFile, func: Func): boolean {
  return func.outer === null && func.name !== null && !file.functions.has(func.name);
}

/** Whether a call could be one of this function: another function of the same name takes fewer arguments. */
function sameShape(call: Call, func: Func): boolean {
  const required = func.params.filter((p) => p.type !== 'AssignmentPattern' && p.type !== 'RestElement' && p['optional'] !== true).length;
  return call.args.length >= required && call.file === func.file;
}

function substitute(pieces: readonly Piece[], func: Func, call: Call): (readonly Piece[])[] {
  let out: (readonly Piece[])[] = [[]];
  for (const piece of pieces) {
    let choices: Alternatives = [[piece]];
    if (typeof piece === 'object' && piece !== null && piece.of === func) {
      const arg = call.args[piece.param] ?? defaultOf(func.params[piece.param]);
      choices = arg === undefined ? [[null]] : parts(piece.property === null ? arg : propertyOf(arg, piece.property), call);
    }
    out = out.flatMap((head) => choices.map((choice) => [...head, ...choice]));
  }
  return out;
}

function propertyOf(arg: Node, name: string): Node {
  const found = arg.type === 'ObjectExpression' ? (arg['properties'] as Node[]).find((p) => idName(p['key']) === name) : undefined;
  return (found?.['value'] as Node | undefined) ?? arg;
}

function defaultOf(param: Node | undefined): Node | undefined {
  return param?.type === 'AssignmentPattern' ? (param['right'] as Node) : undefined;
}

/** What an expression may be. */
function parts(node: Node, at: { readonly inside: Func | null; readonly file: SourceFile }, depth = 0): Alternatives {
  if (depth > 8) return [[null]];
  const sub = (n: Node): Alternatives => parts(n, at, depth + 1);
  switch (node.type) {
    case 'Literal':
      return [[typeof node['value'] === 'string' ? node['value'] : null]];
    case 'TemplateLiteral': {
      let out: (readonly Piece[])[] = [[]];
      const quasis = node['quasis'] as { value: { cooked: string } }[];
      const expressions = node['expressions'] as Node[];
      quasis.forEach((quasi, i) => {
        out = out.map((head) => [...head, quasi.value.cooked]);
        const expression = expressions[i];
        if (expression !== undefined) out = out.flatMap((head) => sub(expression).map((choice) => [...head, ...choice]));
      });
      return out;
    }
    case 'ConditionalExpression':
      return [...sub(node['consequent'] as Node), ...sub(node['alternate'] as Node)];
    case 'LogicalExpression':
      return [...sub(node['left'] as Node), ...sub(node['right'] as Node)];
    case 'TSAsExpression':
    case 'TSNonNullExpression':
    case 'TSSatisfiesExpression':
    case 'ParenthesizedExpression':
      return sub(node['expression'] as Node);
    case 'Identifier': {
      const name = node['name'] as string;
      for (let func = at.inside; func !== null; func = func.outer) {
        const index = func.params.findIndex((p) => paramName(p) === name);
        if (index >= 0) return [[{ param: index, of: func, property: null }]];
        for (const [i, p] of func.params.entries()) {
          if (p.type === 'ObjectPattern' && (p['properties'] as Node[]).some((q) => idName(q['key']) === name)) return [[{ param: i, of: func, property: name }]];
        }
      }
      const value = at.file.constants.get(name);
      if (value === undefined && /^E[A-Z0-9]+$/.test(name)) return [[name]]; // an errno by number
      return value === undefined || !isPlain(value) ? [[null]] : sub(value);
    }
    default:
      return [[null]];
  }
}

/** Whether a constant's value is worth a look. */
function isPlain(node: Node): boolean {
  return ['Literal', 'TemplateLiteral', 'ConditionalExpression', 'TSAsExpression'].includes(node.type);
}

function paramName(param: Node): string | null {
  if (param.type === 'AssignmentPattern') return idName(param['left']);
  if (param.type === 'TSParameterProperty') return paramName(param['parameter'] as Node);
  return idName(param);
}

// @ts-check
/**
 * A version per symbol: the CRC over its type and every type it reaches, as genksyms makes it for C.
 *
 * A changed signature or struct changes the CRC of each symbol that reaches it, and no other.
 * Formatting, comments and parameter names do not count.
 */
import { crc32 } from 'node:zlib';

/** @typedef {import('./declarations.js').DeclarationFiles} DeclarationFiles */
/** @typedef {import('./declarations.js').Node} Node */

/**
 * @typedef {object} DeclaredSymbol
 * @property {string} file header that declares it
 * @property {Node} node its member in an interface that `KernelSymbols` extends
 */

/**
 * Every symbol that these headers merge into `KernelSymbols`.
 *
 * @param {DeclarationFiles} files
 * @param {readonly string[]} headers entry .d.ts files; that of the abi included
 * @returns {Map<string, DeclaredSymbol>}
 * @throws Error when two headers declare one symbol
 */
export function declaredSymbols(files, headers) {
  /** @type {Map<string, DeclaredSymbol>} */
  const symbols = new Map();
  for (const header of headers) {
    const { own, augmentations } = files.read(header);
    const merged = augmentations.filter((a) => a.name === 'KernelSymbols').map((a) => a.node);
    for (const node of [...merged, ...(own.get('KernelSymbols') ?? [])]) collectMembers(files, header, node, symbols);
  }
  return symbols;
}

/**
 * @param {DeclarationFiles} files
 * @param {string} file
 * @param {Node} node an interface
 * @param {Map<string, DeclaredSymbol>} symbols
 */
function collectMembers(files, file, node, symbols) {
  for (const member of node.body.body) {
    const name = member.key?.name ?? member.key?.value;
    if (name === undefined) continue;
    const other = symbols.get(name);
    if (other !== undefined && other.node !== member) throw new Error(`${file}: ${name} is declared in ${other.file} too`);
    symbols.set(name, { file, node: member });
  }
  for (const heritage of node.extends ?? []) {
    const found = files.declarationOf(heritage.expression.name, file);
    if (found === undefined) throw new Error(`${file}: KernelSymbols extends ${heritage.expression.name}, which is not declared`);
    for (const parent of files.read(found.file).own.get(found.name) ?? []) collectMembers(files, found.file, parent, symbols);
  }
}

/**
 * The symbol's CRC.
 *
 * @param {DeclarationFiles} files
 * @param {string} name
 * @param {DeclaredSymbol} symbol
 * @returns {number} 32 bits
 */
export function symbolCrc(files, name, { file, node }) {
  /** @type {Map<string, string>} */
  const reached = new Map();
  // What a lower header leaves open and an upper one fills in counts where the upper one is included, as in C.
  const visible = files.included(file);
  reach(files, node, file, visible, reached);
  const types = [...reached].sort(([a], [b]) => (a < b ? -1 : 1)).map(([type, text]) => `${type} ${text}`);
  return crc32(`${name} ${canonical(node)}\n${types.join('\n')}`);
}

/**
 * Add every declaration a node reaches.
 *
 * @param {DeclarationFiles} files
 * @param {Node} node
 * @param {string} file
 * @param {ReadonlySet<string>} visible files whose augmentations count
 * @param {Map<string, string>} reached declaration -> canonical text
 */
function reach(files, node, file, visible, reached) {
  for (const { name, from } of typeNames(node)) {
    const found = from === undefined ? files.declarationOf(name, file) : exportFrom(files, name, from, file);
    if (found === undefined || found.name === 'KernelSymbols') continue; // all symbols at once are no type of this one
    // The same type under one key wherever the tree lies: sorting and text must not depend on the machine's paths.
    const key = `${found.name} ${packageOf(found.file)}`;
    if (reached.has(key)) continue;
    const nodes = [...(files.read(found.file).own.get(found.name) ?? []), ...augmentationsOf(files, found, visible)];
    reached.set(key, nodes.map((n) => canonical(n.node ?? n)).join(' '));
    for (const n of nodes) reach(files, n.node ?? n, n.file ?? found.file, visible, reached);
  }
}

/**
 * @param {DeclarationFiles} files
 * @param {{ file: string, name: string }} declaration
 * @param {ReadonlySet<string>} visible
 * @returns {{ node: Node, file: string }[]}
 */
function augmentationsOf(files, declaration, visible) {
  const found = [];
  for (const file of [...visible].sort()) {
    for (const a of files.read(file).augmentations) {
      if (a.name !== declaration.name) continue;
      const target = exportFrom(files, a.name, a.module, file);
      if (target !== undefined && target.file === declaration.file) found.push({ node: a.node, file });
    }
  }
  return found;
}

/**
 * @param {DeclarationFiles} files
 * @param {string} name
 * @param {string} specifier
 * @param {string} file where the specifier stands
 */
function exportFrom(files, name, specifier, file) {
  const target = files.resolve(specifier, file);
  return target === undefined ? undefined : files.exportOf(name, target);
}

/** @param {string} file `.../modules/vdpa-core/dist/ops.d.ts` -> `vdpa-core/ops` */
function packageOf(file) {
  const parts = file.split(/[\\/]/);
  return `${parts.at(-3)}/${/** @type {string} */ (parts.at(-1)).replace(/\.d\.ts$/, '')}`;
}

/**
 * Names of types, and of values under `typeof`, that a node mentions.
 *
 * @param {Node} node
 * @returns {Generator<{ name: string, from?: string }>}
 */
function* typeNames(node) {
  if (Array.isArray(node)) {
    for (const n of node) yield* typeNames(n);
    return;
  }
  if (node === null || typeof node !== 'object') return;
  if (node.type === 'TSTypeReference') yield { name: leftmost(node.typeName) };
  if (node.type === 'TSInterfaceHeritage' || node.type === 'TSClassImplements') yield { name: leftmost(node.expression) };
  if (node.type === 'TSTypeQuery' && node.exprName.type !== 'TSImportType') yield { name: leftmost(node.exprName) };
  if (node.type === 'TSImportType' && node.qualifier) yield { name: leftmost(node.qualifier), from: node.source.value };
  if (node.type === 'ClassDeclaration' && node.superClass?.name) yield { name: node.superClass.name };
  for (const key of Object.keys(node)) yield* typeNames(node[key]);
}

/** @param {Node} name */
function leftmost(name) {
  let node = name;
  while (node.left ?? node.object) node = node.left ?? node.object;
  return node.name;
}

/** Keys that say where a node stands or how it is spelled, not what it is. */
const spelling = new Set(['start', 'end', 'range', 'loc', 'raw', 'decorators', 'declare']);
const functionTypes = new Set(['TSFunctionType', 'TSMethodSignature', 'TSConstructorType', 'TSCallSignatureDeclaration', 'TSConstructSignatureDeclaration', 'TSDeclareFunction', 'TSEmptyBodyFunctionExpression']);

/**
 * The node as text that depends on its meaning only.
 *
 * @param {Node} node
 * @returns {string}
 */
function canonical(node) {
  return JSON.stringify(node, function replace(key, value) {
    if (spelling.has(key)) return undefined;
    if (typeof value === 'bigint') return `${value}n`;
    if (key === 'params' && Array.isArray(value) && functionTypes.has(this.type)) return value.map(nameless);
    return value;
  });
}

/**
 * A parameter without its name.
 *
 * @param {Node} param
 */
function nameless(param) {
  if (param.type === 'RestElement') return { ...param, argument: { ...param.argument, name: '' } };
  return param.type === 'Identifier' ? { ...param, name: '' } : param;
}

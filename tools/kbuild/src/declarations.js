// @ts-check
/**
 * Reads built declaration files (.d.ts): which names a file declares, imports and re-exports.
 *
 * TypeScript 7 has no compiler API, so the syntax tree comes from rolldown's parser.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';

/** @typedef {any} Node a node of the ESTree/TS-ESTree syntax; its shape is the parser's business */

/**
 * @typedef {object} ImportRef
 * @property {string} from module specifier
 * @property {string} name exported name there; `*` for a namespace import
 */

/**
 * @typedef {object} Declarations
 * @property {Map<string, Node[]>} own declarations of a name; several where interfaces merge
 * @property {Map<string, ImportRef>} imported local name -> where it comes from
 * @property {Map<string, ImportRef>} reexported exported name -> where it comes from
 * @property {string[]} stars specifiers of `export * from`
 * @property {{ module: string, name: string, node: Node }[]} augmentations `declare module 'm' { interface name }`
 * @property {string[]} specifiers everything the file imports or re-exports from
 */

/**
 * @param {string} code text of a .d.ts file
 * @param {string} file its name, for errors
 * @returns {Declarations}
 */
export function readDeclarations(code, file) {
  /** @type {Declarations} */
  const found = { own: new Map(), imported: new Map(), reexported: new Map(), stars: [], augmentations: [], specifiers: [] };
  /** @type {Node} */
  let program;
  try {
    program = parseAst(code, { lang: 'dts' });
  } catch (error) {
    throw new Error(`${file}: ${/** @type {Error} */ (error).message}`);
  }
  for (const statement of program.body) readStatement(statement, found);
  return found;
}

/**
 * @param {Node} statement
 * @param {Declarations} found
 */
function readStatement(statement, found) {
  switch (statement.type) {
    case 'ImportDeclaration':
      found.specifiers.push(statement.source.value);
      for (const s of statement.specifiers) {
        const name = s.type === 'ImportSpecifier' ? nameOf(s.imported) : s.type === 'ImportDefaultSpecifier' ? 'default' : '*';
        found.imported.set(s.local.name, { from: statement.source.value, name });
      }
      break;
    case 'ExportAllDeclaration':
      found.specifiers.push(statement.source.value);
      found.stars.push(statement.source.value);
      break;
    case 'ExportNamedDeclaration':
      if (statement.declaration) addOwn(statement.declaration, found);
      for (const s of statement.specifiers) {
        const from = statement.source?.value;
        if (from !== undefined) {
          found.specifiers.push(from);
          found.reexported.set(nameOf(s.exported), { from, name: nameOf(s.local) });
        } else if (nameOf(s.exported) !== nameOf(s.local)) {
          found.reexported.set(nameOf(s.exported), { from: '.', name: nameOf(s.local) });
        }
      }
      break;
    case 'TSModuleDeclaration':
      for (const inner of statement.body?.body ?? []) {
        const node = inner.declaration ?? inner;
        if (node.type === 'TSInterfaceDeclaration') found.augmentations.push({ module: statement.id.value, name: node.id.name, node });
      }
      break;
    default:
      addOwn(statement, found);
  }
}

/**
 * @param {Node} node
 * @param {Declarations} found
 */
function addOwn(node, found) {
  const names = node.type === 'VariableDeclaration' ? node.declarations : [node];
  for (const declared of names) {
    const name = declared.id?.name;
    if (name !== undefined) found.own.set(name, [...(found.own.get(name) ?? []), declared]);
  }
}

/** @param {Node} node an Identifier or a string Literal */
function nameOf(node) {
  return node.name ?? node.value;
}

/** Finds declarations across the files of a workspace, reading each file once. */
export class DeclarationFiles {
  /** @type {Map<string, Declarations>} */
  #read = new Map();
  /** @type {ReadonlyMap<string, string>} */
  #entries;

  /** @param {ReadonlyMap<string, string>} entries package name -> its entry .d.ts file */
  constructor(entries) {
    this.#entries = entries;
  }

  /** @param {string} file */
  read(file) {
    let found = this.#read.get(file);
    if (found === undefined) {
      found = readDeclarations(readFileSync(file, 'utf8'), file);
      this.#read.set(file, found);
    }
    return found;
  }

  /**
   * The file a specifier means, or undefined outside the workspace and for files not built yet.
   *
   * @param {string} specifier
   * @param {string} fromFile
   */
  resolve(specifier, fromFile) {
    const file = specifier === '.' ? fromFile
      : specifier.startsWith('.') ? join(dirname(fromFile), specifier.replace(/(\.d)?\.[jt]s$/, '.d.ts'))
      : this.#entries.get(specifier);
    return file !== undefined && existsSync(file) ? file : undefined;
  }

  /**
   * Where a name used in a file is declared.
   *
   * @param {string} name
   * @param {string} file
   * @returns {{ file: string, name: string } | undefined} undefined for a type parameter or a type of the language
   */
  declarationOf(name, file) {
    const here = this.read(file);
    if (here.own.has(name)) return { file, name };
    const ref = here.imported.get(name);
    const target = ref && this.resolve(ref.from, file);
    if (ref === undefined || target === undefined) return undefined;
    if (ref.name === '*') throw new Error(`${file}: types reached through "* as ${name}" cannot be followed; import them by name`);
    return this.exportOf(ref.name, target);
  }

  /**
   * Where an exported name is declared.
   *
   * @param {string} name
   * @param {string} file
   * @param {Set<string>} [seen] files being searched
   * @returns {{ file: string, name: string } | undefined}
   */
  exportOf(name, file, seen = new Set()) {
    if (seen.has(file)) return undefined;
    seen.add(file);
    const here = this.read(file);
    const ref = here.reexported.get(name);
    if (ref !== undefined) {
      if (ref.from === '.') return this.declarationOf(ref.name, file);
      const target = this.resolve(ref.from, file);
      return target === undefined ? undefined : this.exportOf(ref.name, target, seen);
    }
    if (here.own.has(name)) return { file, name };
    if (here.imported.has(name)) return this.declarationOf(name, file); // `export { X }` of an import
    for (const star of here.stars) {
      const target = this.resolve(star, file);
      const found = target === undefined ? undefined : this.exportOf(name, target, seen);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /**
   * The file and every file it imports from, as a preprocessor would include them.
   *
   * @param {string} file
   * @param {Set<string>} [into]
   */
  included(file, into = new Set()) {
    if (into.has(file)) return into;
    into.add(file);
    for (const specifier of this.read(file).specifiers) {
      const target = this.resolve(specifier, file);
      if (target !== undefined) this.included(target, into);
    }
    return into;
  }
}

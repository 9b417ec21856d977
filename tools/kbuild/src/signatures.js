// @ts-check
/** What each symbol looks like to its users: its type as the header spells it, and the first sentence of its docstring. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { declaredSymbols } from './crc.js';
import { DeclarationFiles } from './declarations.js';
import { packages } from './workspace.js';

/** Package whose header declares what the kernel image itself exports. */
const VMLINUX = '@vdpalab/abi';

/**
 * @typedef {object} Signature
 * @property {string} declaredBy package of the header
 * @property {string} type on one line, as the built declaration has it
 * @property {string} summary first sentence of its docstring; empty without one
 */

/**
 * Every symbol the built headers declare.
 *
 * @param {string} root folder of the workspace
 * @returns {Map<string, Signature>}
 */
export function signatures(root) {
  const pkgs = packages(root);
  const entries = new Map(pkgs.filter((p) => p.types !== null).map((p) => [p.name, join(root, p.dir, /** @type {string} */ (p.types))]));
  const headers = pkgs.filter((p) => p.isModule || p.name === VMLINUX).map((p) => entries.get(p.name))
    .filter((file) => file !== undefined).filter((file) => existsSync(file));
  const packageOf = new Map([...entries].map(([name, file]) => [dirname(file), name]));
  /** @type {Map<string, string>} */
  const texts = new Map();
  const textOf = (/** @type {string} */ file) => {
    const text = texts.get(file) ?? readFileSync(file, 'utf8');
    texts.set(file, text);
    return text;
  };
  return new Map([...declaredSymbols(new DeclarationFiles(entries), headers)].map(([name, { file, node }]) => {
    const text = textOf(file);
    const member = text.slice(node.start, node.end);
    return [name, {
      declaredBy: packageOf.get(dirname(file)) ?? file,
      type: member.slice(member.indexOf(':') + 1).replace(/;$/, '').replace(/\s*\/\/.*$/gm, '').replace(/\s+/g, ' ').trim(),
      summary: firstSentence(text.slice(0, node.start)),
    }];
  }));
}

/**
 * First sentence of the docstring a text ends in.
 *
 * @param {string} before
 */
function firstSentence(before) {
  const [, doc] = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(before) ?? [];
  if (doc === undefined) return '';
  const text = doc.replace(/^\s*\*? ?/gm, '').split(/\n\s*\n|^@/m)[0]?.replace(/\{@link ([^}]*)\}/g, '`$1`').replace(/\s+/g, ' ').trim() ?? '';
  return /^[\s\S]*?[.:](?= |$)/.exec(text)?.[0]?.replace(/:$/, '.') ?? text;
}

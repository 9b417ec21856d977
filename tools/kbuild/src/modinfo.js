#!/usr/bin/env node
// @ts-check
/**
 * Writes `dist/modinfo.json` of built modules, and `out/Module.symvers`: `node tools/kbuild/src/modinfo.js [modules/NAME...]`.
 *
 * Run after `tsc -b`. The shape is `ModInfo` of @vdpalab/abi. Without names all modules are written.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { declaredSymbols, symbolCrc } from './crc.js';
import { DeclarationFiles } from './declarations.js';
import { packages } from './workspace.js';

/** The release that labs have by default; a lab of another release replaces the first word. */
export const VERMAGIC = '6.1.0-vdpalab SMP preempt mod_unload modversions ';

/** @typedef {import('./workspace.js').Package} Package */
/** @typedef {{ pkg: Package, definition: any }} Built a package and the default export of its dist/module.js */

/** Package whose header declares what the kernel image itself exports: the loader's and the machine's symbols. */
const VMLINUX = '@vdpalab/abi';

/**
 * Every symbol the built headers declare, with its CRC and the package of its header.
 *
 * @param {string} root
 * @param {readonly Package[]} pkgs
 * @returns {Map<string, { crc: number, declaredBy: string }>}
 */
export function allSymbols(root, pkgs) {
  const entries = new Map();
  for (const { name, dir, types } of pkgs) if (types !== null) entries.set(name, join(root, dir, types));
  const files = new DeclarationFiles(entries);
  const headers = pkgs
    .filter((p) => p.isModule || p.name === VMLINUX)
    .map((p) => entries.get(p.name))
    .filter((file) => file !== undefined && existsSync(file));
  const packageOf = new Map([...entries].map(([name, file]) => [dirname(file), name]));
  const symbols = declaredSymbols(files, headers);
  return new Map([...symbols].map(([name, symbol]) => [
    name,
    { crc: symbolCrc(files, name, symbol), declaredBy: packageOf.get(dirname(symbol.file)) ?? symbol.file },
  ]));
}

/**
 * CRC of every symbol the built headers declare.
 *
 * @param {string} root
 * @param {readonly Package[]} pkgs
 * @returns {Map<string, number>}
 */
export function allCrcs(root, pkgs) {
  return new Map([...allSymbols(root, pkgs)].map(([name, { crc }]) => [name, crc]));
}

/**
 * The record of one module.
 *
 * @param {string} root
 * @param {Built} built
 * @param {ReadonlyMap<string, number>} crcs
 * @param {ReadonlyMap<string, string>} exporters symbol -> name of the loadable module that exports it
 * @throws Error for an exported symbol that no header declares, and for a module without a place in the tree
 */
export function modinfo(root, { pkg, definition: d }, crcs, exporters) {
  const exported = [
    ...d.exports.map((/** @type {string} */ name) => ({ name, gpl: false, namespace: null })),
    ...d.exportsGpl.map((/** @type {string} */ name) => ({ name, gpl: true, namespace: null })),
    ...Object.entries(d.exportsNs).flatMap(([namespace, names]) => names.map((/** @type {string} */ name) => ({ name, gpl: true, namespace }))),
  ];
  const imports = [
    ...d.imports.map((/** @type {string} */ name) => ({ name, weak: false })),
    ...d.weakImports.map((/** @type {string} */ name) => ({ name, weak: true })),
  ];
  const depends = new Set(imports.flatMap(({ name }) => exporters.get(name) ?? []).filter((name) => name !== d.name));
  const code = builtCode(join(root, pkg.dir, 'dist'));
  return {
    name: d.name,
    package: pkg.short,
    path: d.builtin ? null : treePath(pkg, d.name),
    builtin: d.builtin,
    license: d.license,
    description: d.description ?? null,
    author: d.author ?? null,
    version: d.version ?? null,
    srcversion: d.version === undefined ? null : srcversion(code),
    vermagic: VERMAGIC,
    depends: inOrder([...depends], pkg.modinfo.depends ?? []),
    alias: d.alias,
    softdep: d.softdep,
    importNs: d.importNs,
    params: Object.entries(d.params).map(([name, p]) => ({ name, type: p.type, desc: p.desc ?? null, perm: p.perm, default: p.show(p.default) })),
    exports: exported.map((e) => {
      const crc = crcs.get(e.name);
      if (crc === undefined) throw new Error(`${pkg.dir}: exports ${e.name}, which no header declares`);
      return { ...e, crc };
    }),
    imports: imports.map((i) => ({ ...i, crc: crcs.get(i.name) ?? null })),
    size: code.reduce((sum, file) => sum + statSync(file).size, 0),
    ...(pkg.modinfo.order === undefined ? {} : { fields: saidInOrder(d, pkg.modinfo.order) }),
  };
}

/**
 * Names as listed, then those that are not listed, as they are.
 *
 * @param {readonly string[]} names
 * @param {readonly string[]} order
 */
function inOrder(names, order) {
  return [...order.filter((name) => names.includes(name)), ...names.filter((name) => !order.includes(name))];
}

/**
 * What the module says of itself, where its `MODULE_*` lines stand in another order than kbuild's.
 *
 * @param {any} d
 * @param {readonly string[]} order of `license`, `author`, `description` and `version`
 * @returns {(readonly [string, string])[]}
 */
function saidInOrder(d, order) {
  const keys = inOrder(['description', 'author', 'license', 'version'].filter((key) => d[key] !== undefined), order);
  return [
    ...d.importNs.map((/** @type {string} */ ns) => ['import_ns', ns]),
    ...d.softdep.map((/** @type {string} */ line) => ['softdep', line]),
    ...keys.map((key) => [key, d[key]]),
  ];
}

/**
 * Where the module stands in /lib/modules/RELEASE.
 *
 * @param {Package} pkg
 * @param {string} name
 */
function treePath(pkg, name) {
  if (pkg.linuxPath === null) throw new Error(`${pkg.dir}/package.json: "kbuild" is missing: the Linux directory of ${name}.ko, such as "drivers/vdpa"`);
  return `kernel/${pkg.linuxPath.endsWith('.ko') ? pkg.linuxPath : `${pkg.linuxPath}/${name}.ko`}`;
}

/**
 * Compiled files of a module; tests and their helpers in `testing/` excluded.
 *
 * @param {string} dist
 * @returns {string[]}
 */
function builtCode(dist) {
  return readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js') && !file.endsWith('.test.js') && !/(^|[\\/])testing[\\/]/.test(file))
    .sort()
    .map((file) => join(dist, file));
}

/** @param {readonly string[]} files */
function srcversion(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex').toUpperCase().slice(0, 23);
}

/**
 * All built modules of the workspace; packages that are headers only, or not built, are left out.
 *
 * @param {string} root
 * @param {readonly Package[]} pkgs
 * @returns {Promise<{ built: Built[], problems: string[] }>}
 */
export async function builtModules(root, pkgs) {
  const built = [];
  const problems = [];
  for (const pkg of pkgs) {
    const file = join(root, pkg.dir, 'dist/module.js');
    if (!pkg.isModule || !existsSync(file) || !existsSync(join(root, pkg.dir, 'src/module.ts'))) continue;
    try {
      const { default: definition } = await import(pathToFileURL(file).href);
      if (typeof definition?.name !== 'string' || typeof definition.module_init !== 'function') {
        throw new Error('the default export is not a module; write "export default defineModule({...})"');
      }
      built.push({ pkg, definition });
    } catch (error) {
      problems.push(`${pkg.dir}/src/module.ts: ${/** @type {Error} */ (error).message}`);
    }
  }
  return { built, problems };
}

/**
 * Symbol -> loadable module that exports it. Built-in modules are in the kernel image and count for nobody's `depends`.
 *
 * @param {readonly Built[]} built
 */
export function loadableExporters(built) {
  const exporters = new Map();
  for (const { definition: d } of built) {
    if (d.builtin) continue;
    for (const name of [...d.exports, ...d.exportsGpl, ...Object.values(d.exportsNs).flat()]) exporters.set(name, d.name);
  }
  return exporters;
}

/**
 * Linux's list of all exported symbols: CRC, symbol, module path or vmlinux, export class, namespace.
 *
 * @param {readonly ReturnType<typeof modinfo>[]} infos
 * @param {ReadonlyMap<string, number>} vmlinux symbols of the kernel image that no module package exports
 */
export function moduleSymvers(infos, vmlinux) {
  const line = (/** @type {number} */ crc, /** @type {string[]} */ ...rest) => `${[`0x${crc.toString(16).padStart(8, '0')}`, ...rest].join('\t')}\n`;
  return [
    ...[...vmlinux].map(([name, crc]) => line(crc, name, 'vmlinux', 'EXPORT_SYMBOL', '')),
    ...infos.flatMap((info) => {
      const owner = info.path === null ? 'vmlinux' : info.path.replace(/^kernel\//, '').replace(/\.ko$/, '');
      return info.exports.map((e) => line(e.crc, e.name, owner, e.gpl ? 'EXPORT_SYMBOL_GPL' : 'EXPORT_SYMBOL', e.namespace ?? ''));
    }),
  ].join('');
}

/**
 * Write the records of the named packages, or of all.
 *
 * @param {string} root
 * @param {readonly string[]} only package folders; empty for all
 * @returns {Promise<string[]>} what went wrong
 */
export async function writeModinfo(root, only) {
  const pkgs = packages(root);
  const symbols = allSymbols(root, pkgs);
  const crcs = new Map([...symbols].map(([name, { crc }]) => [name, crc]));
  const { built, problems } = await builtModules(root, pkgs);
  const exporters = loadableExporters(built);
  const infos = [];
  for (const module of built) {
    try {
      const info = modinfo(root, module, crcs, exporters);
      infos.push(info);
      if (only.length > 0 && !only.includes(module.pkg.dir)) continue;
      writeFileSync(join(root, module.pkg.dir, 'dist/modinfo.json'), `${JSON.stringify(info, null, 1)}\n`);
    } catch (error) {
      problems.push(/** @type {Error} */ (error).message);
    }
  }
  if (only.length === 0) {
    const symvers = join(root, 'out/Module.symvers');
    mkdirSync(dirname(symvers), { recursive: true });
    const vmlinux = new Map([...symbols].filter(([, s]) => s.declaredBy === VMLINUX).map(([name, { crc }]) => [name, crc]));
    writeFileSync(symvers, moduleSymvers(infos, vmlinux));
  }
  return problems;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = resolve(fileURLToPath(import.meta.url), '../../../..');
  const problems = await writeModinfo(root, process.argv.slice(2).map((dir) => dir.replace(/\/$/, '')));
  for (const problem of problems) console.error(`modinfo: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
}

/**
 * Hand-made modules: one JavaScript file each, in a folder that a lab file names.
 *
 * The default export is the module, and the export `modinfo` says what a build would have found out: CRCs as they are
 * wanted, matching or not, a place in the tree or outside it, other magic. So images exist that no build would make.
 * A file may instead export `modules`, a list of `{ module, modinfo }`.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { crc32 } from 'node:zlib';
import type { ModInfo, ModuleDefinition } from '@vdpalab/abi';
import { readDefinition } from '@vdpalab/loader';
import type { BuiltModule } from './built-modules.ts';

/** Version magic of the default release; a lab puts its own in its place. */
const VERMAGIC = '6.1.0-vdpalab SMP preempt mod_unload modversions ';

/** What a hand-made module's `modinfo` export may say; everything but the path has a default. */
export interface ModuleFileInfo extends Partial<Pick<ModInfo,
  'license' | 'size' | 'initSize' | 'srcversion' | 'vermagic' | 'depends' | 'intree' | 'signed' | 'signature' | 'staging' | 'versions' | 'layoutCrc' | 'fields'>> {
  /** Below `/lib/modules/RELEASE`, or absolute for a file outside the tree, which depmod does not see. */
  readonly path: string;
  /** CRCs of exports; others are made from the symbol's name. */
  readonly crcs?: Readonly<Record<string, number>>;
  /** CRCs of imports; others are the exporter's. */
  readonly importCrcs?: Readonly<Record<string, number | null>>;
  /** Undefined symbols in the order of the symbol table; default: imports, then weak imports. */
  readonly symbolOrder?: readonly string[];
  /** A do-nothing module in the place of a real one: left out where the lab has a module of that name. */
  readonly standIn?: boolean;
}

/** What a module file exports. */
interface Exports {
  readonly default?: unknown;
  readonly modinfo?: ModuleFileInfo;
  readonly modules?: readonly { readonly module: unknown; readonly modinfo?: ModuleFileInfo }[];
}

interface ModuleFile {
  readonly entry: string;
  /** The module as it was exported. */
  readonly module: unknown;
  readonly definition: ModuleDefinition;
  readonly info: ModuleFileInfo;
}

/**
 * Read every module file of a folder: each `.js` file that exports any.
 *
 * @param others modules of the lab whose symbols they may use
 * @throws Error when there is none; ENOEXEC for a default export that is no module
 */
export async function readModuleFiles(folder: string, others: readonly BuiltModule[]): Promise<BuiltModule[]> {
  const names = new Set(others.map((m) => m.info.name));
  const files: ModuleFile[] = [];
  for (const file of readdirSync(folder).filter((name) => /(?<!\.test)\.js$/.test(name)).sort()) {
    const entry = join(folder, file);
    const read = (await import(pathToFileURL(entry).href)) as Exports;
    const list = read.modules ?? (read.default === undefined ? [] : [{ module: read.default, modinfo: read.modinfo }]);
    for (const { module, modinfo } of list) {
      const definition = readDefinition(module, entry);
      const info = modinfo ?? { path: `extra/${definition.name}.ko` };
      if (info.standIn !== true || !names.has(definition.name)) files.push({ entry, module, definition, info });
    }
  }
  if (files.length === 0) throw new Error(`${folder}: neither a built package nor a folder of module files`);
  const owner = new Map<string, { readonly name: string | null; readonly crc: number }>();
  const add = (symbol: string, name: string | null, crc: number): void => {
    if (!owner.has(symbol)) owner.set(symbol, { name, crc });
  };
  for (const { info } of others) for (const e of info.exports) add(e.name, info.builtin ? null : info.name, e.crc);
  const inTreeFirst = [...files].sort((a, b) => Number(a.info.path.startsWith('/')) - Number(b.info.path.startsWith('/')));
  for (const { definition, info } of inTreeFirst) for (const e of exportsOf(definition, info)) add(e.name, definition.name, e.crc);
  return files.map((file) => ({ dir: folder, entry: file.entry, definition: file.module, info: record(file, owner) }));
}

function exportsOf(d: ModuleDefinition, info: ModuleFileInfo): ModInfo['exports'] {
  const crc = (name: string): number => info.crcs?.[name] ?? crc32(name);
  return [
    ...d.exports.map((name) => ({ name, gpl: false, namespace: null, crc: crc(name) })),
    ...d.exportsGpl.map((name) => ({ name, gpl: true, namespace: null, crc: crc(name) })),
    ...Object.entries(d.exportsNs).flatMap(([namespace, names]) => names.map((name) => ({ name, gpl: true, namespace, crc: crc(name) }))),
  ];
}

function record(file: ModuleFile, owner: ReadonlyMap<string, { readonly name: string | null; readonly crc: number }>): ModInfo {
  const { definition: d, info } = file;
  const { crcs: _c, importCrcs, symbolOrder, standIn: _s, ...given } = info;
  const weak = new Set(d.weakImports);
  const needs = [...new Set([...(symbolOrder ?? []), ...d.imports, ...d.weakImports])];
  const depends = new Set(needs.map((name) => owner.get(name)?.name).filter((name) => typeof name === 'string' && name !== d.name)) as ReadonlySet<string>; // the filter leaves names
  return {
    name: d.name,
    package: file.definition.name,
    builtin: false,
    license: d.license,
    description: d.description ?? null,
    author: d.author ?? null,
    version: d.version ?? null,
    srcversion: null,
    vermagic: VERMAGIC,
    depends: [...depends],
    alias: d.alias,
    softdep: d.softdep,
    importNs: d.importNs,
    params: Object.entries(d.params).map(([name, p]) => ({ name, type: p.type, desc: p.desc ?? null, perm: p.perm, default: p.show(p.default) })),
    exports: exportsOf(d, info),
    imports: needs.map((name) => ({ name, weak: weak.has(name), crc: importCrcs?.[name] === undefined ? owner.get(name)?.crc ?? null : importCrcs[name] ?? null })),
    size: 16384,
    ...given,
  };
}

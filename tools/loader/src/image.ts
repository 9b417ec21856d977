/** What the kernel is given to load: a definition and what the build wrote beside it. */
import { KernelError } from '@vdpalab/abi';
import type { LinkedInit, ModInfo, ModuleDefinition } from '@vdpalab/abi';

/** What `.modinfo`, `__versions` and the export tables say about a built module. */
export interface ModuleInfo {
  /** Bytes of core code and data. */
  readonly size: number;
  readonly srcversion?: string | undefined;
  /** CRC of each exported symbol; a symbol without one is never compared. */
  readonly crcs: Readonly<Record<string, number>>;
  /** CRC of each needed symbol when the module was built (`__versions`); `null` when the image has no such table. */
  readonly importCrcs: Readonly<Record<string, number>> | null;
  /** `undefined` when the image says none. */
  readonly vermagic?: string | undefined;
  readonly intree: boolean;
  /** Carries a signature by a key the kernel knows. */
  readonly signed: boolean;
  /** What is wrong with a signature: `bad` does not fit the contents, `malformed` cannot be read, `no-key` is by a key the kernel lacks. */
  readonly signature?: 'bad' | 'malformed' | 'no-key' | undefined;
  /** `staging=Y` */
  readonly staging?: boolean;
  /** Bytes of code that is freed after init; default 0. */
  readonly initSize?: number | undefined;
  /** Names of the image's allocated sections, for `/sys/module/M/sections`; absent, what such a module usually has. */
  readonly sections?: readonly string[] | undefined;
  /** Undefined symbols in the order of the module's symbol table; default: imports, then weak imports. */
  readonly symbolOrder?: readonly string[] | undefined;
}

/** A module as it can be loaded. */
export interface ModuleImage {
  readonly definition: ModuleDefinition;
  /** Where user space found it; for messages only. */
  readonly path: string;
  readonly info: ModuleInfo;
}

/** Flags of `finit_module`. */
export const MODULE_INIT_IGNORE_MODVERSIONS = 1;
export const MODULE_INIT_IGNORE_VERMAGIC = 2;
export const MODULE_INIT_COMPRESSED_FILE = 4;
/** Flags of `delete_module`: `O_NONBLOCK` has no effect since 3.14, `O_TRUNC` forces. */
export const O_NONBLOCK = 0o4000;
export const O_TRUNC = 0o1000;

/**
 * An image with the values a module built in this tree has, for tests and hand-made modules.
 *
 * @param definition the default export of a module's file, typed or not
 */
export function makeImage(definition: unknown, info: Partial<ModuleInfo> = {}, path?: string): ModuleImage {
  const def = readDefinition(definition, path ?? 'image');
  return {
    definition: def,
    path: path ?? `/lib/modules/${def.name}.ko`,
    info: { size: 16384, crcs: {}, importCrcs: {}, intree: true, signed: true, ...info },
  };
}

/** What the loader needs of a `modinfo.json`; a file's own word goes before it. */
export function moduleInfo(record: ModInfo): ModuleInfo {
  const compared = record.imports.filter((i) => i.crc !== null).map((i) => [i.name, i.crc as number] as const); // just filtered
  return {
    size: record.size,
    initSize: record.initSize,
    srcversion: record.srcversion ?? undefined,
    crcs: Object.fromEntries(record.exports.map((e) => [e.name, e.crc])),
    importCrcs: Object.fromEntries(compared),
    vermagic: record.vermagic,
    intree: record.intree ?? true,
    signed: record.signed ?? true,
    symbolOrder: record.imports.map((i) => i.name),
  };
}

/**
 * Take a file's default export for a module definition; the ELF checks of this world.
 *
 * Also the one place where a typed definition loses its types: the linker hands `module_init` exactly the symbols it
 * lists, which is what its type asks for.
 *
 * @param from where the value came from, for the message
 * @throws ENOEXEC when a field is missing or of another kind
 */
export function readDefinition(value: unknown, from: string): ModuleDefinition {
  const bad = (what: string): KernelError => new KernelError('ENOEXEC', 'module.load.format', `${from}: ${what}`);
  if (typeof value !== 'object' || value === null) throw bad(`a module definition is an object, not ${typeof value}`);
  const v = value as Record<string, unknown>;
  const text = (key: string): string => {
    const field = v[key];
    if (typeof field !== 'string' || field === '') throw bad(`${key} is not a name`);
    return field;
  };
  const optional = (key: string): string | undefined => {
    const field = v[key];
    if (field !== undefined && typeof field !== 'string') throw bad(`${key} is not a string`);
    return field;
  };
  const names = (field: unknown, key: string): readonly string[] => {
    if (field === undefined) return [];
    if (!Array.isArray(field) || !field.every((n) => typeof n === 'string')) throw bad(`${key} is not a list of names`);
    return field;
  };
  const name = text('name');
  if (!/^[A-Za-z0-9_]+$/.test(name)) throw bad(`name '${name}' has characters a module name cannot have`);
  const init = v['module_init'];
  if (typeof init !== 'function') throw bad('module_init is not a function');
  const params = v['params'] ?? {};
  if (typeof params !== 'object') throw bad('params is not a table');
  const ns = v['exportsNs'] ?? {};
  if (typeof ns !== 'object') throw bad('exportsNs is not a table');
  return {
    name,
    license: text('license'),
    description: optional('description'),
    author: optional('author'),
    version: optional('version'),
    builtin: v['builtin'] === true,
    alias: names(v['alias'], 'alias'),
    softdep: names(v['softdep'], 'softdep'),
    params: params as ModuleDefinition['params'], // specs are read field by field when parameters are parsed
    imports: names(v['imports'], 'imports'),
    weakImports: names(v['weakImports'], 'weakImports'),
    importNs: names(v['importNs'], 'importNs'),
    exports: names(v['exports'], 'exports'),
    exportsGpl: names(v['exportsGpl'], 'exportsGpl'),
    exportsNs: Object.fromEntries(Object.entries(ns).map(([space, list]) => [space, names(list, `exportsNs.${space}`)])),
    module_init: async (k, mod) => readInit(await (init as ModuleDefinition['module_init'])(k, mod), from),
  };
}

/** What an init handed back, checked. */
function readInit(value: unknown, from: string): LinkedInit {
  if (typeof value !== 'object' || value === null) throw new TypeError(`${from}: module_init returned ${typeof value}, not a symbol table`);
  const { ksymtab, module_exit, returned } = value as Partial<LinkedInit>;
  if (typeof ksymtab !== 'object' || ksymtab === null) throw new TypeError(`${from}: module_init returned no ksymtab`);
  return { ksymtab, module_exit, returned: returned ?? 0 };
}


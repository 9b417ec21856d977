/**
 * A module tree: what stands below `/lib/modules/RELEASE`, as data.
 *
 * Read from .ko files (elf/), made of our own packages' `modinfo.json`, or by hand in tests.
 */
import type { ModInfo } from '@vdpalab/abi';
import { moduleName } from './names.ts';

/** A symbol a module exports. */
export interface TreeExport {
  readonly name: string;
  readonly crc: number;
  readonly gpl: boolean;
  /** Empty for none. */
  readonly namespace: string;
}

/** A symbol a module needs, in the order of its symbol table. */
export interface TreeNeed {
  readonly name: string;
  readonly weak: boolean;
  /** CRC it was built against; `null` when the module has none. */
  readonly crc: number | null;
}

/** A parameter, as modinfo shows it. */
export interface TreeParam {
  readonly name: string;
  readonly type: string;
  readonly desc: string | null;
}

/** One module file. */
export interface TreeModule {
  /** Below `/lib/modules/RELEASE`: `kernel/drivers/vdpa/vdpa.ko`. */
  readonly path: string;
  readonly name: string;
  /** `.modinfo` in its order, `parm` and `parmtype` left out: see `params`. */
  readonly modinfo: readonly (readonly [key: string, value: string])[];
  readonly exports: readonly TreeExport[];
  readonly needs: readonly TreeNeed[];
  /** What depmod writes to modules.alias, in this order. */
  readonly aliases: readonly string[];
  readonly softdeps: readonly string[];
  readonly weakdeps: readonly string[];
  /** In the order they are declared. */
  readonly params: readonly TreeParam[];
  /** Bytes of core code. */
  readonly size: number;
}

/** A module that is part of the kernel image. */
export interface BuiltinModule {
  /** As in modules.builtin: `kernel/fs/fs.ko`. */
  readonly path: string;
  readonly name: string;
  readonly modinfo: readonly (readonly [key: string, value: string])[];
  readonly exports: readonly TreeExport[];
}

/** A whole tree. */
export interface ModuleTree {
  /** In the order files were found. */
  readonly modules: readonly TreeModule[];
  readonly builtin: readonly BuiltinModule[];
  /** Lines of modules.order; `null` when there is none. */
  readonly order: readonly string[] | null;
}

/** A module from what differs from an empty one; for hand-made trees. */
export function treeModule(path: string, m: Partial<Omit<TreeModule, 'path' | 'name' | 'exports' | 'needs'>> & {
  readonly exports?: readonly (string | TreeExport)[];
  readonly needs?: readonly (string | TreeNeed)[];
} = {}): TreeModule {
  return {
    modinfo: [['license', 'GPL']], aliases: [], softdeps: [], weakdeps: [], params: [], size: 16384, ...m,
    path,
    name: moduleName(path),
    exports: (m.exports ?? []).map((e) => (typeof e === 'string' ? { name: e, crc: 0, gpl: false, namespace: '' } : e)),
    needs: (m.needs ?? []).map((n) => (typeof n === 'string' ? { name: n, weak: false, crc: null } : n)),
  };
}

/** Aliases that come from a device table stand after `srcversion` in a .ko, last entry first; the others before the description. */
function isTableAlias(alias: string): boolean {
  return /^(pci|virtio|vdpa|auxiliary|mdev|acpi|of|platform|usb|vfio_pci):/.test(alias);
}

function fields(m: ModInfo, release: string | null): (readonly [string, string])[] {
  const said: (readonly [string, string | null])[] = m.fields !== undefined ? [...m.fields] : [
    ...m.importNs.map((ns) => ['import_ns', ns] as const),
    ...m.softdep.map((s) => ['softdep', s] as const),
    ...m.alias.filter((a) => !isTableAlias(a)).map((a) => ['alias', a] as const),
    ['description', m.description], ['author', m.author], ['license', m.license === '' ? null : m.license], ['version', m.version],
  ];
  const vermagic = release === null ? m.vermagic : m.vermagic.replace(/^\S+/, () => release);
  const all: (readonly [string, string | null])[] = [
    ...said, ['srcversion', m.srcversion],
    ...m.alias.filter(isTableAlias).reverse().map((a) => ['alias', a] as const),
    ['depends', m.builtin ? null : m.depends.join(',')], ['retpoline', m.builtin ? null : 'Y'],
    ['staging', m.staging === true ? 'Y' : null], ['intree', m.builtin || m.intree === false ? null : 'Y'], ['name', m.builtin ? null : m.name],
    ['vermagic', m.builtin || vermagic === '' ? null : vermagic],
  ];
  return all.filter((pair): pair is readonly [string, string] => pair[1] !== null);
}

function exportsOf(m: ModInfo): TreeExport[] {
  return m.exports.map((e) => ({ name: e.name, crc: e.crc, gpl: e.gpl, namespace: e.namespace ?? '' }));
}

/** The .ko that stands for a module of ours. @param release `uname -r`, for the version magic; absent: as the record has it */
export function treeModuleOf(m: ModInfo, release: string | null = null): TreeModule {
  if (m.path === null) throw new RangeError(`${m.name} is built in and has no file`);
  return {
    path: m.path,
    name: m.name,
    modinfo: fields(m, release),
    exports: exportsOf(m),
    needs: m.imports.map((i) => ({ name: i.name, weak: i.weak, crc: i.crc })),
    aliases: fields(m, release).filter(([key]) => key === 'alias').map(([, value]) => value),
    softdeps: m.softdep,
    weakdeps: [],
    params: m.params.map((p) => ({ name: p.name, type: p.type, desc: p.desc })),
    size: m.size,
  };
}

/** The tree of our own modules. @param release `uname -r`, for the version magic */
export function treeOf(records: readonly ModInfo[], release: string | null = null): ModuleTree {
  return {
    modules: records.filter((m) => !m.builtin).map((m) => treeModuleOf(m, release)),
    builtin: records.filter((m) => m.builtin).map((m) => ({
      path: `kernel/${m.name}.ko`, name: m.name, modinfo: fields(m, release), exports: exportsOf(m),
    })),
    order: null,
  };
}

/**
 * What `modinfo.json` beside a built module holds: the `.modinfo`, `__ksymtab` and `__versions` sections of a .ko as data.
 *
 * Written by tools/kbuild after the compiler; read by depmod, modprobe, the loader, the graph and the docs.
 */

/** One built module. */
export interface ModInfo {
  /** Linux's name, with `_`. */
  readonly name: string;
  /** Folder under modules/, also an alias of the module. */
  readonly package: string;
  /** Place in a module tree, below `/lib/modules/RELEASE`: `kernel/drivers/vdpa/vdpa.ko`; `null` when built in. */
  readonly path: string | null;
  readonly builtin: boolean;
  /** Empty: the image says none. */
  readonly license: string;
  readonly description: string | null;
  readonly author: string | null;
  readonly version: string | null;
  /** 23 hexadecimal digits over the built code; only with a version, as in Linux. */
  readonly srcversion: string | null;
  /** Empty: the image says none. */
  readonly vermagic: string;
  /** Modules that provide the imports, in the order of the imports; built-in ones excluded. */
  readonly depends: readonly string[];
  readonly alias: readonly string[];
  /** `pre: a b post: c` lines */
  readonly softdep: readonly string[];
  readonly importNs: readonly string[];
  readonly params: readonly ModInfoParam[];
  readonly exports: readonly ModInfoExport[];
  readonly imports: readonly ModInfoImport[];
  /** Bytes of built code, for lsmod's Size column. */
  readonly size: number;
  /** Bytes that are freed once init has run; absent: none. */
  readonly initSize?: number;
  /** `intree=Y`; absent: it is in tree. */
  readonly intree?: boolean;
  /** Carries a signature the kernel knows; absent: it does. */
  readonly signed?: boolean;
  /** What is wrong with its signature; absent: nothing. */
  readonly signature?: 'bad' | 'malformed' | 'no-key';
  /** `staging=Y` */
  readonly staging?: boolean;
  /** `false`: the image has no `__versions` table. */
  readonly versions?: boolean;
  /** CRC of `module_layout` it was built against, where that is not the kernel's. */
  readonly layoutCrc?: number;
  /**
   * What the source says by `MODULE_*`, in the order of `.modinfo`: `[key, value]`, with keys this record has no field
   * for (`firmware`, a second `author`); absent: the fields above in kbuild's order.
   */
  readonly fields?: readonly (readonly [key: string, value: string])[];
}

/** A declared parameter. */
export interface ModInfoParam {
  readonly name: string;
  /** Kernel type name: `int`, `array of int`. */
  readonly type: string;
  readonly desc: string | null;
  /** Octal mode of the sysfs file; 0 for none. */
  readonly perm: number;
  /** What the sysfs file shows before anything is set. */
  readonly default: string;
}

/** A symbol this module exports. */
export interface ModInfoExport {
  readonly name: string;
  readonly gpl: boolean;
  readonly namespace: string | null;
  /** 32-bit sum over the symbol's type and every type it reaches in the headers. */
  readonly crc: number;
}

/** A symbol this module imports, with the version it was built against. */
export interface ModInfoImport {
  readonly name: string;
  /** May be missing at load time. */
  readonly weak: boolean;
  /** `null` when no header declares the symbol. */
  readonly crc: number | null;
}

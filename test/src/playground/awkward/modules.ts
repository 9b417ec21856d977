/** Images no build would make, one for each rule of the loader. They lie in /opt: depmod would stumble over some. */
import { KernelError, param } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

type Symbols = Readonly<Record<string, (...args: unknown[]) => unknown>>;

/** What is said of an image; its exports are functions that return their names. */
interface Awkward extends Omit<ModuleFileInfo, 'path'> {
  readonly imports?: readonly string[];
  readonly weakImports?: readonly string[];
  readonly exports?: readonly string[];
  readonly exportsGpl?: readonly string[];
  readonly exportsNs?: Readonly<Record<string, readonly string[]>>;
  readonly importNs?: readonly string[];
  readonly params?: object;
  readonly init?: (k: Symbols, values: Readonly<Record<string, unknown>>) => unknown;
}

const slow = { ms: param.int(1000, { perm: 0o444 }), fail: param.bool(false, { perm: 0o444 }) };

/** By module name. */
const awkward: Readonly<Record<string, Awkward>> = {
  // licences
  aw_gpl: { exportsGpl: ['aw_gpl_value'] },
  aw_prop: { license: 'Proprietary', exports: ['aw_prop_value'] },
  aw_nolicense: { license: '' },
  aw_prop_user: { imports: ['aw_prop_value'] },
  aw_gpl_then_prop: { imports: ['aw_gpl_value', 'aw_prop_value'] },
  aw_prop_then_gpl: { imports: ['aw_prop_value', 'aw_gpl_value'] },
  aw_prop_wants_gpl: { license: 'Proprietary', imports: ['aw_gpl_value'] },
  // versions
  aw_noversions: { versions: false },
  aw_noversions_user: { versions: false, imports: ['aw_gpl_value'] },
  aw_layout: { layoutCrc: 1 },
  aw_badcrc: { imports: ['aw_gpl_value'], importCrcs: { aw_gpl_value: 1 } },
  aw_nocrc: { imports: ['aw_gpl_value'], importCrcs: { aw_gpl_value: null } },
  aw_weak_badcrc: { weakImports: ['aw_gpl_value'], importCrcs: { aw_gpl_value: 1 } },
  aw_novermagic: { vermagic: '' },
  aw_vermagic: { vermagic: '6.1.0-vdpalab SMP mod_unload ' },
  aw_release: { vermagic: '5.10.0-8-amd64 SMP preempt mod_unload modversions ' },
  aw_release_noversions: { vermagic: '5.10.0-8-amd64 SMP preempt mod_unload modversions ', versions: false },
  // symbols
  aw_ns: { exportsNs: { AW_NS: ['aw_ns_value'] } },
  aw_ns_user: { imports: ['aw_ns_value'] },
  aw_ns_good: { imports: ['aw_ns_value'], importNs: ['AW_NS'] },
  aw_missing: { imports: ['aw_nowhere', 'aw_gpl_value', 'aw_nor_here'] },
  aw_weak: { weakImports: ['aw_nowhere'] },
  aw_self: { imports: ['aw_self_value'], exports: ['aw_self_value'] },
  aw_dup: { exports: ['aw_gpl_value'] },
  aw_dup_kernel: { exports: ['_printk'] },
  // origin
  aw_oot: { intree: false },
  aw_unsigned: { signed: false },
  aw_staging: { staging: true },
  aw_badsig: { signature: 'bad' },
  aw_malformed: { signature: 'malformed' },
  aw_nokey: { signed: false, signature: 'no-key' },
  // time
  aw_slow: {
    exports: ['aw_slow_value'], imports: ['msleep'], params: slow,
    async init(k, values) {
      await k['msleep']?.(values['ms']);
      if (values['fail'] === true) throw new KernelError('ENODEV', 'aw-slow.init', 'told to fail');
    },
  },
  aw_slow_user: { imports: ['aw_slow_value'] },
};

export const modules: readonly { readonly module: unknown; readonly modinfo: ModuleFileInfo }[] = Object.entries(awkward).map(([name, a]) => {
  const { imports, weakImports, exports, exportsGpl, exportsNs, importNs, params, init, ...modinfo } = a;
  const names = [...(exports ?? []), ...(exportsGpl ?? []), ...Object.values(exportsNs ?? {}).flat()];
  return {
    modinfo: { path: `/opt/${name}.ko`, ...modinfo },
    module: {
      name, license: 'GPL', imports, weakImports, exports, exportsGpl, exportsNs, importNs, params,
      async module_init(k: Symbols, mod: { readonly params: Readonly<Record<string, unknown>> }) {
        await init?.(k, mod.params);
        return { ksymtab: Object.fromEntries(names.map((n) => [n, () => n])) };
      },
    },
  };
});

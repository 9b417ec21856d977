/** Each rule of the loader, shown by an image that meets it; after a refusal nothing of the module is left. */
import { createLab, type Lab } from '@vdpalab/lab';
import { covers, errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { folder } from './folders.ts';

const FORCE = 3;

/** One load, on a lab of its own. */
interface Case {
  readonly rule: string;
  readonly rows: Parameters<typeof covers>;
  /** Loaded before, in order. */
  readonly after?: readonly string[];
  readonly load: string;
  readonly flags?: number;
  readonly cmdline?: string;
  /** `ok`, the default, when it loads. */
  readonly errno?: string;
  readonly log?: readonly string[];
  /** Letters of the module, where it loads. */
  readonly taint?: string;
  /** Users of `after[0]`, where it loads. */
  readonly uses?: boolean;
}

const unknown = (module: string, symbol: string, err = 2): string => `warn: ${module}: Unknown symbol ${symbol} (err -${err})`;
const LOCKDEP = 'warn: Disabling lock debugging due to kernel taint';

const cases: readonly Case[] = [
  { rule: 'a GPL-only symbol is unknown to another licence', rows: ['2.14.5'], after: ['aw_gpl'], load: 'aw_prop_wants_gpl', errno: 'ENOENT',
    log: ["warn: aw_prop_wants_gpl: module license 'Proprietary' taints kernel.", LOCKDEP, unknown('aw_prop_wants_gpl', 'aw_gpl_value')] },
  { rule: 'no licence is a proprietary one', rows: ['2.14.5', '2.14.15'], load: 'aw_nolicense', taint: 'P',
    log: ["warn: aw_nolicense: module license 'unspecified' taints kernel.", LOCKDEP] },
  { rule: 'a user of a proprietary module inherits its taint', rows: ['2.14.5'], after: ['aw_prop'], load: 'aw_prop_user', taint: 'P', uses: true,
    log: ['warn: aw_prop_user: module uses symbols aw_prop_value from proprietary module aw_prop, inheriting taint.'] },
  { rule: 'and may not have used GPL-only symbols', rows: ['2.14.5'], after: ['aw_gpl', 'aw_prop'], load: 'aw_gpl_then_prop', errno: 'ENOENT',
    log: ['err: aw_gpl_then_prop: module using GPL-only symbols uses symbols aw_prop_value from proprietary module aw_prop.', unknown('aw_gpl_then_prop', 'aw_prop_value')] },
  { rule: 'nor use any afterwards', rows: ['2.14.5'], after: ['aw_prop', 'aw_gpl'], load: 'aw_prop_then_gpl', errno: 'ENOENT',
    log: ['warn: aw_prop_then_gpl: module uses symbols aw_prop_value from proprietary module aw_prop, inheriting taint.', unknown('aw_prop_then_gpl', 'aw_gpl_value')] },

  { rule: 'an image without versions is loaded by force', rows: ['2.14.6'], load: 'aw_noversions', taint: 'F',
    log: ['warn: aw_noversions: module_layout: kernel tainted.', LOCKDEP] },
  { rule: 'with the symbols it needs, at one line a boot', rows: ['2.14.6'], after: ['aw_gpl'], load: 'aw_noversions_user', taint: 'F', uses: true,
    log: ['warn: aw_noversions_user: module_layout: kernel tainted.', LOCKDEP] },
  { rule: 'another module layout is another kernel', rows: ['2.14.6'], load: 'aw_layout', errno: 'ENOEXEC',
    log: ['warn: aw_layout: disagrees about version of symbol module_layout'] },
  { rule: 'unless forced', rows: ['2.14.6'], load: 'aw_layout', flags: FORCE, taint: 'FE',
    log: ['warn: aw_layout: module_layout: kernel tainted.', LOCKDEP, 'notice: aw_layout: module verification failed: signature and/or required key missing - tainting kernel'] },
  { rule: "a symbol's other version is refused", rows: ['2.14.6'], after: ['aw_gpl'], load: 'aw_badcrc', errno: 'EINVAL',
    log: ['warn: aw_badcrc: disagrees about version of symbol aw_gpl_value', unknown('aw_badcrc', 'aw_gpl_value', 22)] },
  { rule: 'a weak one too', rows: ['2.14.6'], after: ['aw_gpl'], load: 'aw_weak_badcrc', errno: 'EINVAL',
    log: ['warn: aw_weak_badcrc: disagrees about version of symbol aw_gpl_value', unknown('aw_weak_badcrc', 'aw_gpl_value', 22)] },
  { rule: 'a symbol without a version is let go', rows: ['2.14.6'], after: ['aw_gpl'], load: 'aw_nocrc', taint: '', uses: true,
    log: ['warn: aw_nocrc: no symbol version for aw_gpl_value'] },

  { rule: 'no version magic is loaded by force', rows: ['2.14.7'], load: 'aw_novermagic', taint: 'F',
    log: ['warn: aw_novermagic: bad vermagic: kernel tainted.', LOCKDEP] },
  { rule: 'another version magic is refused', rows: ['2.14.7'], load: 'aw_vermagic', errno: 'ENOEXEC',
    log: ["err: aw_vermagic: version magic '6.1.0-vdpalab SMP mod_unload ' should be '6.1.0-vdpalab SMP preempt mod_unload modversions '"] },
  { rule: 'the release is not compared where symbols have versions', rows: ['2.14.7'], load: 'aw_release', taint: '' },
  { rule: 'and is where they have none', rows: ['2.14.7'], load: 'aw_release_noversions', errno: 'ENOEXEC',
    log: ['warn: aw_release_noversions: module_layout: kernel tainted.', LOCKDEP,
      "err: aw_release_noversions: version magic '5.10.0-8-amd64 SMP preempt mod_unload modversions ' should be '6.1.0-vdpalab SMP preempt mod_unload modversions '"] },

  { rule: 'a namespace must be imported', rows: ['2.14.8'], after: ['aw_ns'], load: 'aw_ns_user', errno: 'EINVAL',
    log: ['err: aw_ns_user: module uses symbol (aw_ns_value) from namespace AW_NS, but does not import it.', unknown('aw_ns_user', 'aw_ns_value', 22)] },
  { rule: 'and then is open', rows: ['2.14.8'], after: ['aw_ns'], load: 'aw_ns_good', taint: '', uses: true },
  { rule: 'every unknown symbol is named', rows: ['2.14.4'], load: 'aw_missing', errno: 'ENOENT',
    log: [unknown('aw_missing', 'aw_nowhere'), unknown('aw_missing', 'aw_gpl_value'), unknown('aw_missing', 'aw_nor_here')] },
  { rule: 'a weak one may be missing', rows: ['2.14.4'], load: 'aw_weak', taint: '' },
  { rule: 'a module does not know its own exports yet', rows: ['2.14.4'], load: 'aw_self', errno: 'ENOENT', log: [unknown('aw_self', 'aw_self_value')] },
  { rule: 'what is exported is not exported again', rows: ['2.14.9'], after: ['aw_gpl'], load: 'aw_dup', errno: 'ENOEXEC',
    log: ['err: aw_dup: exports duplicate symbol aw_gpl_value (owned by aw_gpl)'] },
  { rule: 'nor what the kernel itself exports', rows: ['2.14.9'], load: 'aw_dup_kernel', errno: 'ENOEXEC',
    log: ['err: aw_dup_kernel: exports duplicate symbol _printk (owned by kernel)'] },

  { rule: 'out of tree taints O', rows: ['2.14.15'], load: 'aw_oot', taint: 'O', log: ['warn: aw_oot: loading out-of-tree module taints kernel.'] },
  { rule: 'staging taints C', rows: ['2.14.15'], load: 'aw_staging', taint: 'C',
    log: ['warn: aw_staging: module is from the staging directory, the quality is unknown, you have been warned.'] },
  { rule: 'unsigned taints E', rows: ['2.14.15'], load: 'aw_unsigned', taint: 'E',
    log: ['notice: aw_unsigned: module verification failed: signature and/or required key missing - tainting kernel'] },
  { rule: 'and is refused where signatures are enforced', rows: ['2.14.2'], load: 'aw_unsigned', cmdline: 'module.sig_enforce=1', errno: 'EKEYREJECTED',
    log: ['notice: Loading of unsigned module is rejected'] },
  { rule: 'as is a key the kernel lacks', rows: ['2.14.2'], load: 'aw_nokey', cmdline: 'module.sig_enforce', errno: 'EKEYREJECTED',
    log: ['notice: Loading of module with unavailable key is rejected'] },
  { rule: 'a signature over other contents is refused anywhere', rows: ['2.14.2'], load: 'aw_badsig', errno: 'EKEYREJECTED' },
  { rule: 'and one that cannot be read', rows: ['2.14.2'], load: 'aw_malformed', errno: 'EBADMSG' },
  { rule: 'what is forced counts as unsigned', rows: ['2.14.15'], load: 'aw_badsig', flags: FORCE, taint: 'FE',
    log: ['warn: aw_badsig: module_layout: kernel tainted.', LOCKDEP, 'notice: aw_badsig: module verification failed: signature and/or required key missing - tainting kernel'] },
  { rule: 'a name on the command line is blacklisted', rows: ['2.14.2'], load: 'aw_gpl', cmdline: 'quiet module_blacklist=loop,aw_gpl', errno: 'EPERM',
    log: ['err: Module aw_gpl is blacklisted'] },
  { rule: 'flags that mean nothing are refused', rows: ['2.14.2'], load: 'aw_gpl', flags: 8, errno: 'EINVAL' },
  { rule: 'a live name is taken', rows: ['2.14.3'], after: ['aw_gpl'], load: 'aw_gpl', errno: 'EEXIST' },
];

const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'];

async function insmod(lab: Lab, name: string, flags = 0): Promise<string> {
  return lab.user(() => errnoOf(() => lab.symbol('init_module')({ path: `/opt/${name}.ko` }, '', flags)));
}

describe('the loader', () => {
  it.each(cases)('$load: $rule', async ({ rows, after = [], load, flags, cmdline = '', errno = 'ok', log = [], taint, uses = false }) => {
    covers(...rows);
    const lab = await createLab({ config: { cmdline, modules: { only: [], extra: [folder('awkward')] } } });
    for (const name of after) expect(await insmod(lab, name)).toBe('ok');
    const before = { log: lab.dmesg.length, modules: lab.loader.modules().length, symbols: lab.loader.symbols().length, uevents: lab.uevents.length };
    expect(await insmod(lab, load, flags)).toBe(errno);
    expect(lab.dmesg.slice(before.log).map((line) => `${LEVELS[line.level]}: ${line.text}`)).toEqual(
      after.includes('aw_prop') ? log.filter((line) => line !== LOCKDEP) : log);
    const [newest] = lab.loader.modules();
    if (errno === 'ok') {
      expect(newest).toMatchObject({ name: load, state: 'live', refcnt: 0, taint });
      expect(lab.loader.find_module(after[0] ?? '')?.holders ?? []).toEqual(uses ? [load] : []);
    } else {
      expect(lab.loader.modules()).toHaveLength(before.modules);
      expect(lab.loader.symbols()).toHaveLength(before.symbols);
      expect(lab.loader.modules().flatMap((m) => (m.name.startsWith('aw_') ? [m.refcnt, ...m.holders] : []))).toEqual(after.map(() => 0));
      expect(lab.uevents).toHaveLength(before.uevents);
    }
    expect(await lab.close()).toEqual([]);
  });
});

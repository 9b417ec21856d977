/** What a module may link against: unknown symbols, licences, versions, namespaces, duplicates. Log lines are those of the recordings. */
import { isKernelError } from '@vdpalab/abi';
import type { KernelError } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { fakeKernel, gate, settle, toy } from './fake-host.ts';
import { MODULE_INIT_IGNORE_MODVERSIONS, MODULE_INIT_IGNORE_VERMAGIC } from './image.ts';
import { kernelTaintLetters } from './taint.ts';

async function refusal(promise: Promise<unknown>): Promise<KernelError> {
  const error: unknown = await promise.then(() => 'loaded', (e: unknown) => e);
  if (!isKernelError(error)) throw new Error(`expected a refusal, got ${String(error)}`);
  return error;
}

/** What vhost_vdpa needs of other modules, in the order of its symbol table, as the recorded kernel logged it. */
const VHOST_VDPA_NEEDS = [
  'vhost_vring_ioctl', 'vhost_dev_stop', 'vhost_dev_init', 'vdpa_unregister_driver', 'vhost_iotlb_del_range', 'vdpa_get_config',
  'vhost_iotlb_init', 'vdpa_set_config', 'vhost_iotlb_itree_first', 'vhost_chr_write_iter', 'irq_bypass_register_producer',
  'vhost_iotlb_map_free', '__vdpa_register_driver', 'vhost_dev_ioctl', 'vhost_set_backend_features', 'irq_bypass_unregister_producer',
  'vhost_dev_cleanup', 'vhost_iotlb_add_range_ctx', 'vhost_dev_check_owner', 'vdpa_set_status',
];

describe('unknown symbols', () => {
  it('of vhost_vdpa on an empty system are named one by one', async () => {
    covers('1.8.2', '2.14.4');
    const { loader, host } = fakeKernel();
    expect((await refusal(loader.load(toy('vhost_vdpa', { imports: VHOST_VDPA_NEEDS })))).errno).toBe('ENOENT');
    expect(host.log).toEqual(VHOST_VDPA_NEEDS.map((name) => `warn: vhost_vdpa: Unknown symbol ${name} (err -2)`));
    expect(loader.modules()).toEqual([]);
  });

  it('are all logged, in the order of the symbol table, and the load fails with ENOENT', async () => {
    covers('2.14.4');
    const { loader, host } = fakeKernel();
    await loader.load(toy('vhost_iotlb', { exports: ['vhost_iotlb_init'] }));
    const image = toy('vdpa_sim', {
      imports: ['__vdpa_alloc_device', 'vhost_iotlb_init', 'vringh_set_iotlb'],
      info: { symbolOrder: ['vringh_set_iotlb', 'vhost_iotlb_init', '__vdpa_alloc_device'] },
    });
    const error = await refusal(loader.load(image));
    expect(error.errno).toBe('ENOENT');
    expect(error.rule).toBe('module.load.symbols');
    expect(error.message).toBe('vdpa_sim: 2 of 3 symbols cannot be linked: vringh_set_iotlb (ENOENT), __vdpa_alloc_device (ENOENT)');
    expect(host.log).toEqual([
      'warn: vdpa_sim: Unknown symbol vringh_set_iotlb (err -2)',
      'warn: vdpa_sim: Unknown symbol __vdpa_alloc_device (err -2)',
    ]);
    expect(loader.find_module('vhost_iotlb')).toMatchObject({ refcnt: 0, holders: [] });
    expect(loader.modules()).toHaveLength(1);
  });

  it('that are weak become undefined, and count as a dependency when they are there', async () => {
    covers('2.14.4');
    const { loader } = fakeKernel();
    const seen: unknown[] = [];
    const weak = toy('rk_weak', { weakImports: ['rk_value'], init: (k) => { seen.push(typeof k['rk_value']); } });
    await loader.load(weak);
    await loader.unload('rk_weak');
    await loader.load(toy('rk_provider', { exportsGpl: ['rk_value'] }));
    await loader.load(weak);
    expect(seen).toEqual(['undefined', 'function']);
    expect(loader.find_module('rk_provider')?.holders).toEqual(['rk_weak']);
  });

  it('whose provider is still coming are waited for', async () => {
    covers('2.14.4');
    const { loader, host } = fakeKernel();
    const g = gate();
    const provider = loader.load(toy('p', { exports: ['p1'], init: () => g.passed }));
    await settle();
    let linked: unknown;
    const user = loader.load(toy('u', { imports: ['p1'], init: (k) => { linked = (k['p1'] as () => string)(); } }));
    await settle();
    expect(host.waiting).toEqual(['init of module p, for symbol p1']);
    g.open();
    await Promise.all([provider, user]);
    expect(linked).toBe('p1');
    expect(loader.find_module('p')?.holders).toEqual(['u']);
  });

  it('whose provider does not come in 30 seconds fail with EBUSY', async () => {
    covers('2.14.4');
    const { loader, host } = fakeKernel();
    const g = gate();
    const provider = loader.load(toy('p', { exports: ['p1'], init: () => g.passed }));
    await settle();
    const user = refusal(loader.load(toy('u', { imports: ['p1'] })));
    await settle();
    host.timeOut();
    expect((await user).errno).toBe('EBUSY');
    expect(host.log).toEqual(['warn: u: gave up waiting for init of module p.', 'warn: u: Unknown symbol p1 (err -16)']);
    g.open();
    await provider;
    await loader.unload('p');
  });

  it('whose provider fails meanwhile are unknown', async () => {
    const { loader, host } = fakeKernel();
    const g = gate();
    const provider = refusal(loader.load(toy('p', { exports: ['p1'], init: async () => { await g.passed; throw (await refusal(loader.load(toy('x', { imports: ['no'] })))); } })));
    await settle();
    const user = refusal(loader.load(toy('u', { imports: ['p1'] })));
    await settle();
    g.open();
    expect([(await provider).errno, (await user).errno]).toEqual(['ENOENT', 'ENOENT']);
    expect(host.log.at(-1)).toBe('warn: u: Unknown symbol p1 (err -2)');
  });
});

describe('licences', () => {
  it('hide GPL-only symbols from a module that is not compatible, whose load taints P', async () => {
    covers('2.14.5', '2.14.15');
    const { loader, host } = fakeKernel();
    await loader.load(toy('rk_provider', { exports: ['rk_plain'], exportsGpl: ['rk_value'] }));
    expect((await refusal(loader.load(toy('rk_user', { license: 'XXX', imports: ['rk_value'] })))).errno).toBe('ENOENT');
    expect(host.takeLog()).toEqual([
      "warn: rk_user: module license 'XXX' taints kernel.",
      'warn: Disabling lock debugging due to kernel taint',
      'warn: rk_user: Unknown symbol rk_value (err -2)',
    ]);
    expect(loader.tainted()).toBe(1);
    await loader.load(toy('rk_weak', { license: 'XXX', weakImports: ['rk_value'] }));
    await loader.load(toy('rk_ok', { license: 'XXX', imports: ['rk_plain'] }));
    expect(host.log).toEqual([]);
    expect(loader.find_module('rk_weak')?.taint).toBe('P');
    expect(loader.find_module('rk_provider')?.holders).toEqual(['rk_ok']);
  });

  it('of every compatible kind see GPL-only symbols', async () => {
    const { loader } = fakeKernel();
    await loader.load(toy('p', { exportsGpl: ['p1'] }));
    const kinds = ['GPL', 'GPL v2', 'GPL and additional rights', 'Dual BSD/GPL', 'Dual MIT/GPL', 'Dual MPL/GPL'];
    for (const [i, license] of kinds.entries()) await loader.load(toy(`u${i}`, { license, imports: ['p1'] }));
    expect(loader.find_module('p')?.refcnt).toBe(kinds.length);
    expect(loader.tainted()).toBe(0);
  });

  it('spread: a user of a proprietary module inherits its taint and may not use GPL-only symbols after that', async () => {
    covers('2.14.5');
    const { loader, host } = fakeKernel();
    await loader.load(toy('gpl', { exportsGpl: ['g'] }));
    await loader.load(toy('closed', { license: 'Closed', exports: ['c'] }));
    host.takeLog();
    await loader.load(toy('shim', { imports: ['c'], exports: ['s'] }));
    expect(host.takeLog()).toEqual(['warn: shim: module uses symbols c from proprietary module closed, inheriting taint.']);
    expect(loader.find_module('shim')?.taint).toBe('P');
    // proprietary first, then GPL-only
    expect((await refusal(loader.load(toy('a', { imports: ['s', 'g'] })))).errno).toBe('ENOENT');
    expect(host.takeLog()).toEqual([
      'warn: a: module uses symbols s from proprietary module shim, inheriting taint.', 'warn: a: Unknown symbol g (err -2)',
    ]);
    // GPL-only first, then proprietary
    expect((await refusal(loader.load(toy('b', { imports: ['g', 's'] })))).errno).toBe('ENOENT');
    expect(host.takeLog()).toEqual([
      'err: b: module using GPL-only symbols uses symbols s from proprietary module shim.', 'warn: b: Unknown symbol s (err -2)',
    ]);
  });
});

describe('symbol versions', () => {
  const provider = toy('rk_provider', { exports: ['rk_value'], info: { crcs: { rk_value: 0x1111 } } });

  it('that differ refuse the load with EINVAL, unless forced, which taints F', async () => {
    covers('2.14.6');
    const { loader, host } = fakeKernel();
    await loader.load(provider);
    const bad = toy('rk_badcrc', { imports: ['rk_value'], info: { importCrcs: { rk_value: 0x2222 } } });
    expect((await refusal(loader.load(bad))).errno).toBe('EINVAL');
    expect(host.takeLog()).toEqual([
      'warn: rk_badcrc: disagrees about version of symbol rk_value', 'warn: rk_badcrc: Unknown symbol rk_value (err -22)',
    ]);
    await loader.load(bad, '', MODULE_INIT_IGNORE_MODVERSIONS);
    expect(host.log).toEqual([
      'warn: rk_badcrc: module_layout: kernel tainted.', 'warn: Disabling lock debugging due to kernel taint',
      'notice: rk_badcrc: module verification failed: signature and/or required key missing - tainting kernel',
    ]);
    expect(loader.find_module('rk_badcrc')?.taint).toBe('FE'); // forced is unsigned: the image may have been changed
    expect(loader.find_module('rk_provider')?.holders).toEqual(['rk_badcrc']);
  });

  it('that are missing as a whole need forced loading: taint F, or ENOEXEC where the kernel forbids it', async () => {
    covers('2.14.6');
    const bare = toy('u', { imports: ['rk_value'], info: { importCrcs: null } });
    const lenient = fakeKernel();
    await lenient.loader.load(provider);
    await lenient.loader.load(bare);
    expect(lenient.loader.find_module('u')?.taint).toBe('F');
    const strict = fakeKernel({ forceLoad: false });
    await strict.loader.load(provider);
    expect((await refusal(strict.loader.load(bare))).errno).toBe('ENOEXEC');
  });

  it('that are missing for one symbol are let go with one warning', async () => {
    const { loader, host } = fakeKernel();
    await loader.load(provider);
    await loader.load(toy('u', { imports: ['rk_value'] }));
    await loader.load(toy('v', { imports: ['rk_value'] }));
    expect(host.log).toEqual(['warn: u: no symbol version for rk_value']);
  });

  it('of the module layout itself refuse with ENOEXEC', async () => {
    const { loader, host } = fakeKernel({ moduleLayoutCrc: 1 });
    expect((await refusal(loader.load(toy('m', { info: { importCrcs: { module_layout: 2 } } })))).errno).toBe('ENOEXEC');
    expect(host.log).toEqual(['warn: m: disagrees about version of symbol module_layout']);
    await loader.load(toy('m', { info: { importCrcs: { module_layout: 1 } } }));
  });
});

describe('version magic', () => {
  const vermagic = '6.1.0-56-amd64 SMP preempt mod_unload modversions ';

  it('is compared without the release, and refused with ENOEXEC, unless forced', async () => {
    covers('2.14.7');
    const { loader, host } = fakeKernel({ vermagic });
    await loader.load(toy('other_release', { info: { vermagic: vermagic.replace('-56-', '-55-') } }));
    const bad = toy('rk_slow', { info: { vermagic: vermagic.replace('preempt', 'prexmpt') } });
    expect((await refusal(loader.load(bad))).errno).toBe('ENOEXEC');
    expect(host.takeLog()).toEqual([`err: rk_slow: version magic '${vermagic.replace('preempt', 'prexmpt')}' should be '${vermagic}'`]);
    await loader.load(bad, '', MODULE_INIT_IGNORE_VERMAGIC | MODULE_INIT_IGNORE_MODVERSIONS);
    expect(host.log[0]).toBe('warn: rk_slow: module_layout: kernel tainted.');
    expect(loader.find_module('rk_slow')?.taint).toBe('FE');
  });

  it('counts its release for an image without symbol versions', async () => {
    const { loader } = fakeKernel({ vermagic });
    const old = toy('m', { info: { importCrcs: null, vermagic: vermagic.replace('-56-', '-55-') } });
    expect((await refusal(loader.load(old))).errno).toBe('ENOEXEC');
  });

  it('that is missing needs forced loading', async () => {
    const { loader, host } = fakeKernel({ vermagic });
    await loader.load(toy('m'));
    expect(host.log[0]).toBe('warn: m: bad vermagic: kernel tainted.');
    expect((await refusal(fakeKernel({ vermagic, forceLoad: false }).loader.load(toy('m')))).errno).toBe('ENOEXEC');
  });
});

describe('namespaces', () => {
  it('must be imported, or the load fails with EINVAL', async () => {
    covers('2.14.8');
    const { loader, host } = fakeKernel();
    await loader.load(toy('rk_nsprov', { exportsNs: { RK_NS: ['rk_ns_value'] } }));
    expect((await refusal(loader.load(toy('rk_nsuser', { imports: ['rk_ns_value'] })))).errno).toBe('EINVAL');
    expect(host.log).toEqual([
      'err: rk_nsuser: module uses symbol (rk_ns_value) from namespace RK_NS, but does not import it.',
      'warn: rk_nsuser: Unknown symbol rk_ns_value (err -22)',
    ]);
    await loader.load(toy('rk_nsgood', { imports: ['rk_ns_value'], importNs: ['RK_NS'] }));
    expect(loader.find_module('rk_nsprov')?.holders).toEqual(['rk_nsgood']);
  });

  it('are only warned of where the kernel is configured so', async () => {
    covers('2.14.8');
    const { loader, host } = fakeKernel({ allowMissingNamespaceImports: true });
    await loader.load(toy('p', { exportsNs: { N: ['f'] } }));
    await loader.load(toy('u', { imports: ['f'] }));
    expect(host.log).toEqual(['warn: u: module uses symbol (f) from namespace N, but does not import it.']);
  });
});

describe('exports', () => {
  it('that somebody has already are refused with ENOEXEC, and the owner named', async () => {
    covers('2.14.9');
    const { loader, host } = fakeKernel();
    await loader.load(toy('rk_provider', { exports: ['rk_value'] }));
    expect((await refusal(loader.load(toy('rk_dup', { exportsGpl: ['mine', 'rk_value'] })))).errno).toBe('ENOEXEC');
    expect((await refusal(loader.load(toy('rk_dup', { exports: ['tainted'] })))).errno).toBe('ENOEXEC');
    expect(host.log).toEqual([
      'err: rk_dup: exports duplicate symbol rk_value (owned by rk_provider)', 'err: rk_dup: exports duplicate symbol tainted (owned by kernel)',
    ]);
    expect(loader.symbols().some((s) => s.name === 'mine')).toBe(false);
  });
});

describe('origin', () => {
  it('taints O and E with a line each once a boot, even when the load fails, and blacklisted names are refused', async () => {
    covers('2.14.15');
    const { loader, host } = fakeKernel({ moduleBlacklist: ['evil'] });
    const foreign = { intree: false, signed: false };
    expect((await refusal(loader.load(toy('a', { imports: ['no'], info: foreign })))).errno).toBe('ENOENT');
    expect(host.takeLog()).toEqual([
      'warn: a: loading out-of-tree module taints kernel.',
      'notice: a: module verification failed: signature and/or required key missing - tainting kernel',
      'warn: a: Unknown symbol no (err -2)',
    ]);
    expect(loader.tainted()).toBe(12288);
    expect(kernelTaintLetters(loader.tainted())).toBe('G           OE     ');
    await loader.load(toy('b', { info: foreign }));
    expect(host.takeLog()).toEqual([]);
    expect(loader.find_module('b')?.taint).toBe('OE');
    expect((await refusal(loader.load(toy('evil')))).errno).toBe('EPERM');
    expect(host.takeLog()).toEqual(['err: Module evil is blacklisted']);
    await loader.load(toy('c', { info: { staging: true } }));
    expect(loader.find_module('c')?.taint).toBe('C');
  });

  it('is enforced by signature where the kernel says so', async () => {
    const { loader, host } = fakeKernel({ sigEnforce: () => true });
    expect((await refusal(loader.load(toy('m', { info: { signed: false } })))).errno).toBe('EKEYREJECTED');
    expect(host.log).toEqual(['notice: Loading of unsigned module is rejected']);
    await loader.load(toy('m'));
  });

  it('refuses flags that mean nothing', async () => {
    expect((await refusal(fakeKernel().loader.load(toy('m'), '', 8))).errno).toBe('EINVAL');
  });
});

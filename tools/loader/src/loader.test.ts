/** Loading and unloading: states, names, use edges, references. */
import { isKernelError, KernelError, param } from '@vdpalab/abi';
import type { KModule, ModuleEvent, ThisModule } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { fakeKernel, gate, settle, toy } from './fake-host.ts';
import { LOAD_STEPS } from './host.ts';
import { O_TRUNC } from './image.ts';
import { procModulesLine } from './procmodules.ts';

const errno = (promise: Promise<unknown>): Promise<string> =>
  promise.then(() => 'ok', (e: unknown) => (isKernelError(e) ? e.errno : `bug: ${String(e)}`));

describe('a load', () => {
  it('links symbols, makes one use edge per user module, and unlinks at unload', async () => {
    covers('2.14.10');
    const { loader } = fakeKernel();
    let seen: unknown;
    await loader.load(toy('p', { exports: ['p1'], exportsGpl: ['p2'] }));
    await loader.load(toy('u', { imports: ['p1', 'p2'], init: (k) => { seen = Object.keys(k); } }));
    await loader.load(toy('v', { imports: ['p2'] }));
    expect(seen).toEqual(['p1', 'p2']);
    expect(loader.find_module('p')).toMatchObject({ refcnt: 2, holders: ['v', 'u'] });
    expect(procModulesLine(loader.find_module('p')!)).toBe('p 16384 2 v,u, Live 0xffffffffc0201000');
    await loader.unload('u');
    expect(loader.find_module('p')).toMatchObject({ refcnt: 1, holders: ['v'] });
    await loader.unload('v');
    await loader.unload('p');
    expect(loader.residue()).toEqual([]);
    expect(loader.symbols().filter((s) => s.owner !== 'vmlinux')).toEqual([]);
  });

  it('lists modules newest first, at first-fit addresses with a guard page', async () => {
    const { loader } = fakeKernel();
    await loader.load(toy('vhost_iotlb', { info: { size: 16384 } }));
    await loader.load(toy('vringh', { info: { size: 36864 } }));
    await loader.load(toy('vdpa', { info: { size: 32768 } }));
    expect(loader.modules().map((m) => `${m.name} ${m.address.toString(16)}`)).toEqual([
      'vdpa ffffffffc0210000', 'vringh ffffffffc0206000', 'vhost_iotlb ffffffffc0201000',
    ]);
    await loader.unload('vringh');
    await loader.load(toy('small', { info: { size: 1 } }));
    expect(loader.find_module('small')?.address).toBe(0xffffffffc0206000n);
  });

  it('refuses a live name with EEXIST, whichever of - and _ is written', async () => {
    const { loader } = fakeKernel();
    await loader.load(toy('vhost_vdpa'));
    expect(await errno(loader.load(toy('vhost_vdpa')))).toBe('EEXIST');
    expect(loader.find_module('vhost-vdpa')?.name).toBe('vhost_vdpa');
    expect(loader.modules()).toHaveLength(1);
  });

  it('waits for a load of the same name, then says EEXIST if that succeeded and EBUSY if it failed', async () => {
    covers('2.14.3');
    for (const succeeds of [true, false]) {
      const { loader, host } = fakeKernel();
      const g = gate();
      const init = async (): Promise<void> => {
        await g.passed;
        if (!succeeds) throw new KernelError('EIO', 'toy', 'no');
      };
      const first = errno(loader.load(toy('m', { init })));
      await settle();
      const second = errno(loader.load(toy('m')));
      await settle();
      expect(host.waiting).toEqual(['load of module m by another task']);
      g.open();
      expect([await first, await second]).toEqual(succeeds ? ['ok', 'EEXIST'] : ['EIO', 'EBUSY']);
    }
    const { loader } = fakeKernel();
    await loader.load(toy('m'));
    expect(await errno(loader.load(toy('m')))).toBe('EEXIST');
  });

  it('shows its states: coming and counted once while init runs, live, going and -1 while exit runs', async () => {
    covers('2.14.1', '2.14.17');
    const { loader } = fakeKernel();
    const begin = gate();
    const end = gate();
    const oot = { info: { size: 16384, intree: false, signed: false } };
    const loading = loader.load(toy('rk_slow', { ...oot, init: () => begin.passed, exit: () => end.passed }));
    await settle();
    const m = loader.find_module('rk_slow')!;
    expect(m.state).toBe('coming');
    expect(procModulesLine(m)).toBe('rk_slow 16384 1 - Loading 0xffffffffc0201000 (OE+)');
    expect(await errno(loader.unload('rk_slow'))).toBe('EBUSY');
    begin.open();
    await loading;
    expect(m.state).toBe('live');
    expect(procModulesLine(m)).toBe('rk_slow 16384 0 - Live 0xffffffffc0201000 (OE)');
    const leaving = loader.unload('rk_slow');
    await settle();
    expect(m.state).toBe('going');
    expect(procModulesLine(m)).toBe('rk_slow 16384 -1 - Unloading 0xffffffffc0201000 (OE-)');
    expect(await errno(loader.load(toy('rk_slow')))).toBe('EBUSY');
    expect(await errno(loader.unload('rk_slow'))).toBe('EBUSY');
    end.open();
    await leaving;
    expect(loader.modules()).toEqual([]);
  });

  it('prints no + beside a module without taints, and hides addresses on demand', async () => {
    const { loader } = fakeKernel();
    const g = gate();
    const loading = loader.load(toy('m', { init: () => g.passed }));
    await settle();
    expect(procModulesLine(loader.find_module('m')!, { hideAddress: true })).toBe('m 16384 1 - Loading 0x0000000000000000');
    g.open();
    await loading;
  });
});

describe('a failing init', () => {
  it('gives back what it took in reverse, drops the use edges, and fails with its own errno', async () => {
    covers('2.14.11');
    const { loader } = fakeKernel();
    const undone: string[] = [];
    await loader.load(toy('p', { exports: ['p1'] }));
    const before = loader.symbols();
    const refusal = new KernelError('ENODEV', 'toy.init', 'no hardware');
    const failing = loader.load(toy('u', {
      imports: ['p1'], exports: ['u1'],
      init: (_k, mod) => {
        const { undo } = mod as ThisModule;
        undo.push('first', () => void undone.push('first'));
        undo.push('second', () => void undone.push('second'));
        throw refusal;
      },
    }));
    await expect(failing).rejects.toBe(refusal);
    expect(undone).toEqual(['second', 'first']);
    expect(loader.find_module('u')).toBeNull();
    expect(loader.find_module('p')).toMatchObject({ refcnt: 0, holders: [] });
    expect(loader.symbols()).toEqual(before);
    expect(await errno(loader.load(toy('u', { imports: ['p1'] })))).toBe('ok');
  });

  it('lets an exception that is no KernelError out as it is, after undoing', async () => {
    const { loader } = fakeKernel();
    const bug = new TypeError('x is not a function');
    await expect(loader.load(toy('u', { exports: ['u1'], init: () => { throw bug; } }))).rejects.toBe(bug);
    expect(loader.residue()).toEqual([]);
  });

  it('calls an export that init did not define a bug, runs its exit and leaves nothing', async () => {
    const { loader } = fakeKernel();
    let left = 0;
    const image = toy('u', { exports: ['u1'] });
    const broken = {
      ...image,
      definition: { ...image.definition, module_init: async () => ({ ksymtab: {}, module_exit: () => { left++; } }) },
    };
    await expect(loader.load(broken)).rejects.toThrow('u: exports u1, but its init defined none');
    expect(left).toBe(1);
    expect(loader.residue()).toEqual([]);
  });

  it('keeps a module whose init returned a positive number, with a warning', async () => {
    covers('2.14.11');
    const { loader, host } = fakeKernel();
    await loader.load(toy('rk_fail', { returned: 1 }));
    expect(host.log).toEqual([
      "warn: do_init_module: 'rk_fail'->init suspiciously returned 1, it should follow 0/-E convention\ndo_init_module: loading module anyway...",
    ]);
    expect(loader.find_module('rk_fail')?.state).toBe('live');
  });

  it('reports an undo that fails together with the reason', async () => {
    const { loader } = fakeKernel();
    const init = (_k: unknown, mod: unknown): never => {
      (mod as ThisModule).undo.push('stuck', () => { throw new Error('cannot undo'); });
      throw new KernelError('EIO', 'toy', 'first');
    };
    await expect(loader.load(toy('u', { init }))).rejects.toMatchObject({ errors: [{ message: 'first' }, { message: 'cannot undo' }] });
    expect(loader.residue()).toEqual([]);
  });
});

describe('every step of a load', () => {
  it('stands in the order of load_module', async () => {
    covers('2.14.2');
    const steps: string[] = [];
    const { loader } = fakeKernel({ onStep: (step) => { steps.push(step); return undefined; } });
    await loader.load(toy('m'));
    expect(steps).toEqual([...LOAD_STEPS]);
    expect(steps).toEqual([
      'permission', 'signature', 'blacklist', 'modversions', 'vermagic', 'duplicate', 'taints', 'symbols', 'exports', 'coming', 'parameters',
      'init', 'live',
    ]);
  });

  for (const failing of LOAD_STEPS) {
    it(`leaves nothing behind when ${failing} fails`, async () => {
      let broken: string | null = null;
      const events: string[] = [];
      const { loader } = fakeKernel({
        onStep: (step, module) => {
          if (module === 'u' && step === broken) throw new KernelError('ENOMEM', 'inject', step);
          return undefined;
        },
      });
      await loader.load(toy('p', { exports: ['p1'] }));
      loader.register_module_notifier((e) => { events.push(`${e.action} ${e.module.name}`); return undefined; });
      const before = { symbols: loader.symbols(), lines: loader.modules().map((m) => procModulesLine(m)) };
      broken = failing;
      let acquired = 0;
      const image = toy('u', {
        imports: ['p1'], exports: ['u1'], exportsNs: { U: ['u2'] },
        init: (_k, mod) => { acquired++; (mod as ThisModule).undo.push('it', () => { acquired--; }); },
      });
      expect(await errno(loader.load(image))).toBe('ENOMEM');
      expect({ symbols: loader.symbols(), lines: loader.modules().map((m) => procModulesLine(m)) }).toEqual(before);
      expect(acquired).toBe(0);
      expect(loader.find_module('p')).toMatchObject({ refcnt: 0, holders: [] });
      expect(events.filter((e) => e.startsWith('coming')).length).toBe(events.filter((e) => e.startsWith('gone')).length);
      broken = null;
      await loader.load(image);
      expect(loader.find_module('u')).toMatchObject({ state: 'live', refcnt: 0 });
      await loader.shutdown();
      expect(loader.residue()).toEqual([]);
    });
  }
});

describe('an unload', () => {
  it('refuses in the order name, users, state, no exit, references', async () => {
    covers('2.14.13');
    let allowed = true;
    const { loader } = fakeKernel({ capable: () => allowed });
    await loader.load(toy('p', { exports: ['p1'], exit: null }));
    await loader.load(toy('u', { imports: ['p1'] }));
    loader.__module_get(loader.find_module('p'));
    expect(await errno(loader.unload('nobody'))).toBe('ENOENT');
    expect(await errno(loader.unload('p', O_TRUNC))).toBe('EAGAIN'); // users keep it even when forced
    await loader.unload('u');
    expect(await errno(loader.unload('p'))).toBe('EBUSY'); // no exit
    expect(loader.tainted()).toBe(0);
    allowed = false;
    expect(await errno(loader.unload('p'))).toBe('EPERM');
    expect(await errno(loader.load(toy('x')))).toBe('EPERM');
    allowed = true;
    expect(procModulesLine(loader.find_module('p')!)).toContain('p 16384 1 [permanent], Live');
    await loader.unload('p', O_TRUNC);
    expect(loader.tainted()).toBe(1 << 3); // R
    expect(loader.residue()).toEqual([]);
  });

  it('refuses while references are held, unless forced, which taints R', async () => {
    covers('2.14.13');
    const { loader, host } = fakeKernel();
    await loader.load(toy('m'));
    const m = loader.find_module('m');
    expect(loader.try_module_get(m)).toBe(true);
    expect(await errno(loader.unload('m'))).toBe('EAGAIN');
    loader.module_put(m);
    expect(m?.refcnt).toBe(0);
    loader.__module_get(m);
    await loader.unload('m', O_TRUNC);
    expect(loader.tainted()).toBe(8);
    expect(host.log).toEqual(['warn: Disabling lock debugging due to kernel taint']);
  });

  it('runs module_exit, then the undo stack in reverse, then tells going and gone', async () => {
    const { loader } = fakeKernel();
    const order: string[] = [];
    loader.register_module_notifier((e) => { order.push(e.action); return undefined; });
    const init = (_k: unknown, mod: unknown): void => {
      (mod as ThisModule).undo.push('a', () => void order.push('undo a'));
      (mod as ThisModule).undo.push('b', () => void order.push('undo b'));
    };
    await loader.load(toy('m', { init, exit: () => void order.push('exit') }));
    await loader.unload('m');
    expect(order).toEqual(['coming', 'live', 'exit', 'undo b', 'undo a', 'going', 'gone']);
  });

  it('finishes and reports when exit throws', async () => {
    const { loader } = fakeKernel();
    await loader.load(toy('m', { exports: ['f'], exit: () => { throw new Error('exit is broken'); } }));
    await expect(loader.unload('m')).rejects.toThrow('exit is broken');
    expect(loader.residue()).toEqual([]);
  });

  it('removes a module that has neither init nor exit work', async () => {
    const { loader } = fakeKernel();
    const image = toy('vringh');
    await loader.load({ ...image, definition: { ...image.definition, module_init: async () => ({ ksymtab: {} }) } });
    expect(loader.find_module('vringh')?.permanent).toBe(false);
    expect(await errno(loader.unload('vringh'))).toBe('ok');
  });
});

describe('references', () => {
  it('cannot be taken of a module that is going or gone, can of one that is coming, and always of the kernel', async () => {
    covers('2.14.14');
    const { loader } = fakeKernel();
    const begin = gate();
    const end = gate();
    let self: KModule | undefined;
    const got: boolean[] = [];
    const init = async (_k: unknown, mod: unknown): Promise<void> => {
      self = (mod as ThisModule).THIS_MODULE;
      got.push(loader.try_module_get(self));
      loader.module_put(self);
      await begin.passed;
    };
    const loading = loader.load(toy('m', { init, exit: () => end.passed }));
    begin.open();
    await loading;
    got.push(loader.try_module_get(self!));
    loader.module_put(self!);
    const leaving = loader.unload('m');
    await settle();
    got.push(loader.try_module_get(self!));
    end.open();
    await leaving;
    got.push(loader.try_module_get(self!), loader.try_module_get(null));
    expect(got).toEqual([true, true, false, false, true]);
  });

  it('that nobody holds cannot be put', async () => {
    const { loader } = fakeKernel();
    await loader.load(toy('m'));
    const m = loader.find_module('m');
    loader.try_module_get(m);
    await loader.unload('m', O_TRUNC);
    loader.module_put(m);
    loader.module_put(m); // the base reference, which a forced removal leaves
    expect(() => loader.module_put(m)).toThrow('module_put(m): no reference is held');
    expect(() => loader.module_put({ name: 'fake', state: 'live' })).toThrow(TypeError);
  });
});

describe('notifiers', () => {
  it('hear coming, live, going, gone in order, and one that refuses coming aborts the load', async () => {
    covers('2.14.16');
    const { loader } = fakeKernel();
    const heard: string[] = [];
    const listener = (name: string) => (e: ModuleEvent): undefined => {
      heard.push(`${name}: ${e.action} ${e.module.name}`);
      if (name === 'b' && e.action === 'coming' && e.module.name === 'bad') throw new KernelError('EPERM', 'toy', 'not this one');
    };
    const [a, b, c] = [listener('a'), listener('b'), listener('c')];
    loader.register_module_notifier(a);
    loader.register_module_notifier(b);
    loader.register_module_notifier(c);
    expect(await errno(loader.load(toy('bad')))).toBe('EPERM');
    expect(heard.splice(0)).toEqual(['a: coming bad', 'b: coming bad', 'a: going bad', 'a: gone bad']);
    expect(loader.residue()).toEqual([]);
    loader.unregister_module_notifier(b);
    loader.unregister_module_notifier(c);
    await loader.load(toy('good'));
    await loader.unload('good');
    expect(heard).toEqual(['a: coming good', 'a: live good', 'a: going good', 'a: gone good']);
  });
});

describe('at coming', () => {
  it('a module already has its parameters, holders and symbols, so that its directory can be made', async () => {
    const { loader } = fakeKernel();
    const seen: string[] = [];
    await loader.load(toy('p', { exports: ['p1'] }));
    loader.register_module_notifier(({ action, module }) => {
      const shown = module.parameters.map((p) => `${p.name}=${p.show()}`).join(' ');
      seen.push(`${action} ${module.state} ${shown} ${loader.find_module('p')?.holders.join() ?? ''}`);
      return undefined;
    });
    await loader.load(toy('m', { imports: ['p1'], params: { i: param.int(7, { perm: 0o444 }), hidden: param.int(1) } }), 'i=9');
    expect(seen).toEqual(['coming coming i=7 m', 'live live i=9 m']);
  });
});

describe('the kernel image', () => {
  it('owns the exports of its built-ins: no use edges, no unload, found but not listed', async () => {
    const { loader } = fakeKernel();
    await loader.loadBuiltin(toy('sched', { exports: ['schedule'] }));
    await loader.load(toy('u', { imports: ['schedule', 'tainted', 'try_module_get'] }));
    expect(loader.modules().map((m) => m.name)).toEqual(['u']);
    expect(loader.find_module('sched')).toMatchObject({ builtin: true, refcnt: 0, holders: [] });
    expect(loader.symbols().find((s) => s.name === 'schedule')).toMatchObject({ owner: 'sched', builtin: true });
    expect(await errno(loader.unload('sched'))).toBe('ENOENT');
    expect(await errno(loader.load(toy('sched')))).toBe('EEXIST');
    expect(loader.try_module_get(loader.find_module('sched'))).toBe(true);
    loader.module_put(loader.find_module('sched'));
  });

  it('starts no built-in whose symbols are missing or whose init fails, and leaves nothing of it', async () => {
    const { loader, host } = fakeKernel();
    expect(await errno(loader.loadBuiltin(toy('b', { imports: ['nowhere'] })))).toBe('ENOENT');
    expect(host.log).toEqual(['warn: b: Unknown symbol nowhere (err -2)']);
    expect(await errno(loader.loadBuiltin(toy('b', { exports: ['f'], init: () => { throw new KernelError('EIO', 'toy', ''); } })))).toBe('EIO');
    await loader.loadBuiltin(toy('b', { exports: ['f'] }));
    expect(await errno(loader.loadBuiltin(toy('b')))).toBe('EEXIST');
  });

  it('shuts down in reverse order of loading, modules first, users before their providers', async () => {
    const { loader } = fakeKernel();
    const order: string[] = [];
    const leaving = (name: string) => ({ exit: () => void order.push(name) });
    await loader.loadBuiltin(toy('b1', leaving('b1')));
    await loader.loadBuiltin(toy('b2', leaving('b2')));
    await loader.load(toy('p', { exports: ['p1'], ...leaving('p') }));
    await loader.load(toy('u', { imports: ['p1'], ...leaving('u') }));
    await loader.load(toy('last', leaving('last')));
    await loader.shutdown();
    expect(order).toEqual(['last', 'u', 'p', 'b2', 'b1']);
    expect(loader.residue()).toEqual([]);
  });

  it('tells what failed at shutdown after all exits have run', async () => {
    const { loader } = fakeKernel();
    await loader.loadBuiltin(toy('b', { exit: () => { throw new Error('b'); } }));
    await loader.load(toy('m', { exit: () => { throw new Error('m'); } }));
    await expect(loader.shutdown()).rejects.toMatchObject({ errors: [{ message: 'm' }, { message: 'b' }] });
    expect(loader.residue()).toEqual([]);
  });

  it('gives user space its own system calls as symbols', async () => {
    const image = toy('m');
    const { loader } = fakeKernel({ readImage: async (path) => (path === image.path ? image : Promise.reject(new KernelError('ENOENT', 'toy', path))) });
    const init_module = loader.lookup('init_module')!;
    await init_module({ path: image.path }, '', 0);
    expect(loader.lookup('modules')!().map((m) => m.name)).toEqual(['m']);
    expect(await errno(init_module({ path: '/nowhere' }, '', 0))).toBe('ENOENT');
    await loader.lookup('delete_module')!('m', 0);
    expect(loader.residue()).toEqual([]);
  });
});

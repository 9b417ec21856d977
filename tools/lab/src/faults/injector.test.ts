import { defineModule, isKernelError, type SymbolName } from '@vdpalab/abi';
import { makeImage } from '@vdpalab/loader';
import { afterEach, describe, expect, test } from 'vitest';
import { createLab, type Lab } from '../lab.ts';

let lab: Lab | null = null;
afterEach(async () => {
  const left = await lab?.close() ?? [];
  lab = null;
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
});

async function labWith(...fail: string[]): Promise<Lab> {
  lab = await createLab({ config: { memory: '16M', iommu: false, pci: { root_ports: [], functions: [] } }, fail });
  return lab;
}

/** A module whose parameter file allocates as often as it is read, and says what became of it. */
function allocator(times: number, log: string[]) {
  return makeImage(defineModule({
    name: 'greedy', license: 'GPL', imports: ['alloc_pages', 'free_pages', 'sysfs_root', 'kernfs_create_file', 'kernfs_remove'] satisfies SymbolName[],
    async module_init(k, { undo }) {
      const ops = {
        show: async () => {
          for (let i = 0; i < times; i++) {
            try {
              k.free_pages(k.alloc_pages(1));
              log.push('got');
            } catch (error) {
              if (!isKernelError(error)) throw error;
              log.push(error.errno);
            }
          }
          return 'done\n';
        },
      };
      const file = k.kernfs_create_file(k.sysfs_root, 'greedy', 0o444, ops);
      undo.push('greedy', () => k.kernfs_remove(file));
      return { ksymtab: {} };
    },
  }));
}

async function outcome(times: number, ...fail: string[]): Promise<string[]> {
  const log: string[] = [];
  const world = await labWith(...fail);
  await world.user(async (p) => {
    await world.loader.load(allocator(times, log));
    await p.readFile('/sys/greedy');
    await world.loader.unload('greedy');
  });
  return log;
}

describe('an acquisition fails', () => {
  test('the nth time and no other', async () => {
    expect(await outcome(4, 'greedy:alloc:3')).toEqual(['got', 'got', 'ENOMEM', 'got']);
  });

  test('with the errno asked for, by its symbol', async () => {
    expect(await outcome(2, 'greedy:alloc_pages=EAGAIN')).toEqual(['EAGAIN', 'got']);
  });

  test('every so many, so many times', async () => {
    expect(await outcome(8, 'greedy:alloc:2,interval=3')).toEqual(['got', 'ENOMEM', 'got', 'got', 'ENOMEM', 'got', 'got', 'ENOMEM']);
    await lab?.close();
    expect(await outcome(6, 'greedy:alloc,interval=2,times=2')).toEqual(['ENOMEM', 'got', 'ENOMEM', 'got', 'got', 'got']);
  });

  test('by chance, the same for the same seed', async () => {
    const first = await outcome(40, 'greedy:alloc,probability=30');
    await lab?.close();
    expect(await outcome(40, 'greedy:alloc,probability=30')).toEqual(first);
    const failed = first.filter((what) => what !== 'got').length;
    expect(failed).toBeGreaterThan(3);
    expect(failed).toBeLessThan(25);
  });

  test('during an operation, and not outside of it', async () => {
    expect(await outcome(2, 'greedy:show/alloc:2')).toEqual(['got', 'ENOMEM']);
    await lab?.close();
    expect(await outcome(2, 'greedy:init/alloc')).toEqual(['got', 'got']);
  });

  test('of no module but the one that is named', async () => {
    expect(await outcome(2, 'other:alloc')).toEqual(['got', 'got']);
  });
});

describe('a refusal on purpose', () => {
  test('says which rule asked for it and where', async () => {
    const world = await labWith('greedy:init:1=EIO');
    await expect(world.user(() => world.loader.load(allocator(0, [])))).rejects.toMatchObject({
      errno: 'EIO', rule: 'fault.injected',
      message: "greedy: kernfs_create_file during init fails on purpose: asked for by 'greedy:init:1=EIO' and this is number 1",
    });
    expect(world.faults?.rules).toMatchObject([{ seen: 1, failed: 1 }]);
  });

  test('reaches the steps of the module loader', async () => {
    const world = await labWith('greedy:load/exports=ENOEXEC');
    await expect(world.user(() => world.loader.load(allocator(0, [])))).rejects.toMatchObject({ errno: 'ENOEXEC', rule: 'fault.injected' });
    expect(world.loader.find_module('greedy')).toBe(null);
  });

  test('reaches an operation itself', async () => {
    const world = await labWith('greedy:show()=EBUSY');
    await world.user(async (p) => {
      await world.loader.load(allocator(0, []));
      await expect(p.readFile('/sys/greedy')).rejects.toMatchObject({ errno: 'EBUSY', rule: 'fault.injected' });
      expect(await p.readFile('/sys/greedy')).toBe('done\n');
      await world.loader.unload('greedy');
    });
  });
});

describe('an injector', () => {
  test('notes what is asked for, and takes rules while the lab runs', async () => {
    const world = await labWith();
    const steps = world.faults?.record();
    await world.user(async () => {
      await world.loader.load(allocator(0, []));
      await world.loader.unload('greedy');
    });
    world.faults?.stop();
    expect(steps?.filter((s) => s.module === 'greedy' && s.kind !== 'load')).toEqual([
      { module: 'greedy', what: 'kernfs_create_file', kind: 'create', during: ['init'] },
    ]);
    world.faults?.add('greedy:init');
    await expect(world.user(() => world.loader.load(allocator(0, [])))).rejects.toMatchObject({ rule: 'fault.injected' });
    world.faults?.clear();
    await world.user(async () => {
      await world.loader.load(allocator(0, []));
      await world.loader.unload('greedy');
    });
  });

  test('is not there in a lab without rules: modules get their symbols as they are', async () => {
    lab = await createLab({ config: { memory: '16M' } });
    expect(lab.faults).toBe(null);
    let handed: unknown;
    const image = makeImage(defineModule({
      name: 'plain', license: 'GPL', imports: ['alloc_pages'],
      module_init: (k) => {
        handed = k.alloc_pages;
        return { ksymtab: {} };
      },
    }));
    const world = lab;
    await world.user(async () => {
      await world.loader.load(image);
      await world.loader.unload('plain');
    });
    expect(handed).toBe(world.symbol('alloc_pages'));
  });

  test('gives ops tables back as they were when the lab closes', async () => {
    const shared = { show: async () => 'shared\n' };
    const { show } = shared;
    const image = makeImage(defineModule({
      name: 'sharing', license: 'GPL', imports: ['sysfs_root', 'kernfs_create_file', 'kernfs_remove'],
      async module_init(k, { undo }) {
        const file = k.kernfs_create_file(k.sysfs_root, 'sharing', 0o444, shared);
        undo.push('sharing', () => k.kernfs_remove(file));
        return { ksymtab: {} };
      },
    }));
    const world = await labWith();
    await world.user(() => world.loader.load(image).then(() => undefined));
    expect(shared.show).not.toBe(show);
    expect(await world.close()).toEqual([]);
    expect(shared.show).toBe(show);
  });
});

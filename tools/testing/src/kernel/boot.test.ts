import { defineModule } from '@vdpalab/abi';
import { expect, test } from 'vitest';
import { bootBuiltins } from './boot.ts';

/** A module that exports nothing of the real kernel; names are typed by headers this package does not have. */
function toy(name: string, log: string[], imports: readonly string[] = [], ksymtab: Record<string, unknown> = {}, fails = false) {
  return {
    ...defineModule({
      name, license: 'GPL',
      module_init: (_k, mod) => {
        log.push(`${name} init`);
        mod.undo.push('it', () => void log.push(`${name} undo`));
        if (fails) throw new Error('no');
        return { ksymtab: {}, module_exit: () => void log.push(`${name} exit`) };
      },
    }),
    imports,
    ...(Object.keys(ksymtab).length === 0 ? {} : { module_init: () => ({ ksymtab }) }),
  };
}

test('boots modules in order on a machine, runs tasks, and reports what a test leaves', async () => {
  const kernel = await bootBuiltins(['sched']);
  const { k } = kernel as unknown as { k: { msleep: (ms: number) => Promise<void>; mutex_init: (n: string) => object; mutex_lock: (m: object) => Promise<void> } };
  expect(await kernel.run(async () => {
    await k.msleep(5);
    return kernel.machine.sched.now;
  })).toBe(5_000_000);
  expect(kernel.leftovers()).toEqual([]);
  await kernel.run(() => k.mutex_lock(k.mutex_init('kept')));
  expect(kernel.leftovers()).toEqual([expect.stringContaining('mutex kept')]);
});

test('a task that does not end is an error that says what it waits for', async () => {
  const kernel = await bootBuiltins(['sched']);
  await expect(kernel.run(() => kernel.machine.sched.park({ what: 'godot' }))).rejects.toThrow('godot');
});

test('a symbol that is not there is named', async () => {
  const kernel = await bootBuiltins([]);
  expect(() => (kernel.k as unknown as { nosuch: unknown }).nosuch).toThrow('Unknown symbol nosuch');
  await expect(bootBuiltins([toy('user', [], ['absent'])])).rejects.toThrow('user: Unknown symbol absent (err -2)');
  await expect(bootBuiltins([toy('user', [], ['dma_set_mask_and_coherent'])])).rejects.toThrow("(err -2): boot 'iommu' before it");
});

test('notifiers see a module come, live and go, and a user keeps its provider', async () => {
  const log: string[] = [];
  const kernel = await bootBuiltins([]);
  kernel.k.register_module_notifier(({ action, module }): undefined => void log.push(`${module.name} ${action} ${module.holders.join()}`));
  await kernel.run(async () => {
    await kernel.insmod(toy('provider', log, [], { twice: () => 2 }));
    await kernel.insmod(toy('user', log, ['twice']));
  });
  await expect(kernel.run(() => kernel.rmmod('provider'))).rejects.toThrow('in use');
  await kernel.run(async () => {
    await kernel.rmmod('user');
    await kernel.rmmod('provider');
  });
  expect(log).toEqual([
    'provider coming ', 'provider live ', 'user coming ', 'user init', 'user live ',
    'user going ', 'user exit', 'user undo', 'user gone ', 'provider going ', 'provider gone ',
  ]);
});

test('a failing init is undone and the module is gone', async () => {
  const log: string[] = [];
  const kernel = await bootBuiltins([]);
  await expect(kernel.run(() => kernel.insmod(toy('bad', log, [], {}, true)))).rejects.toThrow('no');
  expect(log).toEqual(['bad init', 'bad undo']);
  expect(kernel.k.find_module('bad')).toBeNull();
});

test('wrap stands between an importer and a symbol', async () => {
  const seen: string[] = [];
  await bootBuiltins(['sched'], {
    wrap: (symbol, value, importer) => {
      seen.push(`${importer} ${symbol}`);
      return value;
    },
  });
  expect(seen).toEqual(['sched machine']);
});

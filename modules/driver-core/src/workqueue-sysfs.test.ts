import { expect, test } from 'vitest';
import { bootDriverCore } from './testing/kernel.ts';

test('a work queue shows itself below the root of its bus, once, until it is hidden', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  await kernel.sh(async (sh) => {
    const wq = k.alloc_workqueue('toy-irq');
    await k.workqueue_sysfs_register(wq, { unbound: true, max_active: 256, nice: -20 });
    expect(await sh.readlink('/sys/bus/workqueue/devices/toy-irq')).toBe('../../../devices/virtual/workqueue/toy-irq');
    expect(await sh.cat('/sys/devices/virtual/workqueue/toy-irq/nice')).toBe('-20\n');
    expect(await sh.cat('/sys/devices/virtual/workqueue/toy-irq/per_cpu')).toBe('0\n');
    const other = k.alloc_workqueue('toy-irq');
    await expect(k.workqueue_sysfs_register(other, { unbound: false, max_active: 1, nice: 0 })).rejects.toMatchObject({ errno: 'EEXIST' });
    await k.workqueue_sysfs_unregister(other); // was not shown
    await k.workqueue_sysfs_unregister(wq);
    for (const queue of [wq, other]) await k.destroy_workqueue(queue);
    expect(await sh.ls('/sys/devices/virtual/workqueue')).toBe('');
  });
  expect(kernel.uevents()).toEqual([
    'add@/devices/virtual/workqueue/toy-irq SUBSYSTEM=workqueue', 'remove@/devices/virtual/workqueue/toy-irq SUBSYSTEM=workqueue',
  ]);
  expect(kernel.leftovers()).toEqual([]);
});

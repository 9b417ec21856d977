import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import virtioPci from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(virtioPci, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.virtio_pci_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.virtio_pci_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['virtio_pci: loaded', 'virtio_pci: unloaded']);
});

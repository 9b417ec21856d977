import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import vfioPciCore from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(vfioPciCore, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.vfio_pci_core_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.vfio_pci_core_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['vfio_pci_core: loaded', 'vfio_pci_core: unloaded']);
});

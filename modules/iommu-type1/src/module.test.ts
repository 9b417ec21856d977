import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import iommuType1 from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(iommuType1, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.iommu_type1_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.iommu_type1_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['iommu_type1: loaded', 'iommu_type1: unloaded']);
});

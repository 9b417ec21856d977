import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import mdevCore from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(mdevCore, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.mdev_core_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.mdev_core_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['mdev_core: loaded', 'mdev_core: unloaded']);
});

import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import vpVdpa from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(vpVdpa, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.vp_vdpa_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.vp_vdpa_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['vp_vdpa: loaded', 'vp_vdpa: unloaded']);
});

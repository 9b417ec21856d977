import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import vduse from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(vduse, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.vduse_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.vduse_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['vduse: loaded', 'vduse: unloaded']);
});

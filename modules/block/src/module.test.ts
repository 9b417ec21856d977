import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import block from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(block, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.block_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.block_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['block: loaded', 'block: unloaded']);
});

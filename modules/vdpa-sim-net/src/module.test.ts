import { startModule } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import vdpaSimNet from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(vdpaSimNet, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },
  });
  expect(running.ksymtab.vdpa_sim_net_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.vdpa_sim_net_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['vdpa_sim_net: loaded', 'vdpa_sim_net: unloaded']);
});

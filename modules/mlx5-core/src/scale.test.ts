import { DEVLINK_PORT_FN_STATE_ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE } from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import { bootMlx5, FIRST_PORT, PF } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

/** Node's; packages under modules/ do without its types. */
declare const process: { readonly cpuUsage: (since?: object) => { readonly user: number; readonly system: number } };

/** Milliseconds of CPU to add, activate, deactivate and delete that many subfunctions. */
async function cycle(b: Bench, count: number): Promise<number> {
  const before = process.cpuUsage();
  const each = (body: (n: number) => Promise<unknown>): Promise<void> => b.run(async () => {
    for (let n = 0; n < count; n++) await body(n);
  });
  await each((n) => b.devlinkHere(PF, (tool) => tool.addSf(0, n)));
  for (const state of [DEVLINK_PORT_FN_STATE_ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE]) await each((n) => b.devlinkHere(PF, (tool) => tool.setFunction(FIRST_PORT + n, { state })));
  await each((n) => b.devlinkHere(PF, (tool) => tool.delPort(FIRST_PORT + n)));
  const { user, system } = process.cpuUsage(before);
  expect([b.fn.subfunctions.slots.every(({ state }) => state === 0), b.auxiliary()]).toEqual([true, ['mlx5_core.eth.0', 'mlx5_core.eth-rep.0', 'mlx5_core.rdma-rep.0']]);
  return (user + system) / 1000;
}

it('subfunctions come and go in time that grows with their number', async () => {
  const b = await bootMlx5({ subfunctions: 64, vectors: 32 });
  await b.switchdev();
  await cycle(b, 16); // compiled from here on
  const few = Math.min(await cycle(b, 8), await cycle(b, 8));
  const many = await cycle(b, 64);
  expect(many / few, `8 in ${few} ms, 64 in ${many} ms`).toBeLessThanOrEqual(14); // 8 would be a straight line
}, 120_000);

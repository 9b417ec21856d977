import { covers, errnoOf } from '@vdpalab/testing';
import { DEVLINK_PORT_FN_STATE_ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench, frame } from './testing/device.ts';
import { Failures } from './testing/failures.ts';
import { devlink, hardware, PF } from './testing/subfunction.ts';

const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

async function inactive(b: Bench): Promise<string> {
  const answer = await devlink(b.kernel, PF, (tool) => tool.setFunction(b.port, { state: DEVLINK_PORT_FN_STATE_INACTIVE }));
  await b.kernel.settle();
  return answer;
}

async function portDel(b: Bench): Promise<string> {
  const answer = await devlink(b.kernel, PF, (tool) => tool.delPort(b.port));
  await b.kernel.settle();
  return answer;
}

/** What the device holds of a subfunction. */
const held = (b: Bench): number[] => [b.vhca.resources.size, b.hardware.fn.keys.size, b.hardware.fn.l2.size];

test('taken down in order: device, function, port', async () => {
  covers('2.10.23', 'F9');
  const b = await Bench.boot();
  const before = held(b);
  await b.add();
  const rings = await b.start();
  await b.send(rings, frame(BROADCAST));
  expect(b.hardware.outside.take()).toHaveLength(1);
  await b.finish(rings);
  expect(await b.del()).toBe('ok');
  expect(held(b)).toEqual(before);
  expect(await inactive(b)).toBe('ok');
  expect([b.k.vdpa_mgmtdevs(), held(b)]).toEqual([[], [0, 0, 0]]);
  expect(await portDel(b)).toBe('ok');
});

test('a function that is made inactive takes its vDPA device with it, and can come again', async () => {
  covers('2.10.23', 'F9');
  const b = await Bench.boot();
  await b.add();
  const rings = await b.start();
  expect(await inactive(b)).toBe('ok');
  expect([b.gone, b.k.vdpa_mgmtdevs(), held(b)]).toEqual([true, [], [0, 0, 0]]);
  await b.run(async () => void rings.free());
  await devlink(b.kernel, PF, (tool) => tool.setFunction(b.port, { state: DEVLINK_PORT_FN_STATE_ACTIVE }));
  await b.kernel.settle();
  expect(b.k.vdpa_mgmtdevs().map(({ device }) => device.name)).toEqual(['mlx5_core.sf.1']);
  expect(await b.add()).toBe('ok');
  expect(await portDel(b)).toBe('ok'); // active, with a device
  expect([b.gone, held(b)]).toEqual([true, [0, 0, 0]]);
});

test('modules can go in the order of their use, with a device that runs', async () => {
  const b = await Bench.boot();
  const before = held(b);
  await b.add();
  const rings = await b.start();
  await b.run(() => b.kernel.rmmod('mlx5_vdpa'));
  expect([b.gone, held(b)]).toEqual([true, before]);
  await b.run(async () => {
    rings.free();
    await b.kernel.rmmod('mlx5_core');
  });
  expect(held(b)).toEqual([0, 0, 0]);
});

test('a driver whose bus, or whose management device, is refused leaves nothing', async () => {
  for (const at of [1, 2]) {
    const failures = new Failures();
    failures.left = at;
    const errno = await errnoOf(async () => {
      const b = await Bench.boot(hardware(), { wrap: failures.wrap });
      expect(b.k.vdpa_mgmtdevs()).toEqual([]);
    });
    expect([failures.take(), errno]).toEqual(at === 1 ? ['__auxiliary_driver_register', 'ENOMEM'] : ['vdpa_mgmtdev_register', 'ok']);
  }
});

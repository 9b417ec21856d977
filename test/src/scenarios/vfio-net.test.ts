import { covers } from '@vdpalab/testing';
import type { VfioVirtio } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { bindVfio, drain, hexOf, sessionFrames, startChain, startVfioEnd, stopEnd, unbindVfio, VFIO_MODULES, vfioWorld, type End, type World } from '../support/index.ts';

/** Two functions bound, a driver in a process on each. */
async function vfioPair(mapped: boolean): Promise<{ world: World; a: End<VfioVirtio>; b: End<VfioVirtio>; close: () => Promise<string[]> }> {
  const world = await vfioWorld();
  await world.lab.user(async (p) => {
    for (const vf of [0, 1]) await bindVfio(p, world.vf(vf));
  });
  const a = await startVfioEnd(world, 0, { mappedDoorbells: mapped });
  const b = await startVfioEnd(world, 1, { mappedDoorbells: mapped });
  return {
    world, a, b,
    async close() {
      await stopEnd(world, a);
      await stopEnd(world, b);
      await world.lab.user(async (p) => {
        for (const vf of [0, 1]) await unbindVfio(p, world.vf(vf));
      });
      return await world.close();
    },
  };
}

async function passed(mapped: boolean): Promise<{ got: string[]; left: string[]; complaints: string[] }> {
  const { world, a, b, close } = await vfioPair(mapped);
  const got: Uint8Array[] = [];
  for (const frame of sessionFrames()) {
    await world.lab.as(a.process, () => a.net.send(frame));
    got.push(...await drain(world, b));
  }
  const complaints = world.complaints();
  return { got: hexOf(got), complaints, left: await close() };
}

describe('a network driver in a process, over VFIO', () => {
  it('passes the frames of the main job bit for bit, doorbells by eventfd and by mapped page', { timeout: 60_000 }, async () => {
    covers('1.9.3', '1.3.3', '2.13.4');
    const chain = await startChain();
    const frames = sessionFrames().filter((f) => f.length <= 1514);
    const expected = hexOf(await chain.pass(frames));
    expect(await chain.close()).toEqual([]);
    expect(expected).toEqual(hexOf(frames));
    for (const mapped of [false, true]) {
      const { got, left, complaints } = await passed(mapped);
      expect(got).toEqual(hexOf(sessionFrames()));
      expect({ left, complaints }).toEqual({ left: [], complaints: [] });
    }
  });

  it('reaches only what its container maps: elsewhere its DMA faults, with its id and address', { timeout: 30_000 }, async () => {
    const { world, a, b, close } = await vfioPair(false);
    const { lab } = world;
    const { iova, rxAt } = b.net.memory;
    await lab.as(b.process, () => b.net.file.unmap(iova, BigInt(b.net.memory.size)));
    await lab.as(a.process, () => a.net.send(sessionFrames()[0]!));
    await lab.run();
    const faults = await lab.kernel(async () => lab.symbol('iommu_faults')().map(({ rid, iova: where }) => ({ rid, inside: where >= Number(iova) && where < Number(iova) + rxAt + 0x100_0000 })));
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.every(({ rid, inside }) => rid === 0x703 && inside)).toBe(true);
    expect(await close()).toEqual([]);
  });

  it('shares a switch with a function of a vhost-vdpa chain', { timeout: 30_000 }, async () => {
    const chain = await startChain({ vfs: 3, modules: ['vhost_vdpa', 'virtio_vdpa', 'ifcvf', 'virtio_net', ...VFIO_MODULES] });
    const { world } = chain;
    await world.lab.user((p) => bindVfio(p, world.vf(2)));
    const end = await startVfioEnd(world, 2);
    const frames = sessionFrames().filter((f) => f.length <= 1514).slice(0, 5);
    const got = await chain.pass(frames);
    expect(hexOf(got)).toEqual(hexOf(frames));
    expect(hexOf(await drain(world, end))).toEqual(hexOf(frames)); // learning is off: the switch floods
    await stopEnd(world, end);
    await world.lab.user((p) => unbindVfio(p, world.vf(2)));
    expect(await chain.close()).toEqual([]);
  });
});

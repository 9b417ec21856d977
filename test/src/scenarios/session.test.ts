import { covers } from '@vdpalab/testing';
import { VirtioUserNet } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { boundTo, interfaceOf, linkUp, packetSocket, sendAll, sessionFrames, vhostPath, World } from '../support/index.ts';

const ETH_HLEN = 14;

/** Frames as text, so that a difference is shown by number and not as a wall of bytes. */
const digest = (frames: readonly Uint8Array[]): string[] => frames.map((f) => Buffer.from(f).toString('base64'));

describe('a recorded session from a socket, over two virtual functions, to a process', () => {
  it('arrives bit for bit at an MTU of 1500, oversize frames refused, and whole with mergeable buffers', async () => {
    covers('1.2.1', '1.9.6');
    const frames = sessionFrames();
    expect(frames).toHaveLength(80);
    const world = await World.create();
    const { lab } = world;
    await world.addDevice('vdpa0', 0, 'virtio_vdpa');
    await world.addDevice('vdpa1', 1, 'vhost_vdpa');
    expect(await lab.user(async (p) => [await boundTo(p, 'vdpa0'), await boundTo(p, 'vdpa1')])).toEqual(['virtio_vdpa', 'vhost_vdpa']);

    const name = await lab.user((p) => interfaceOf(p, world.vf(0)));
    const receiver = await lab.process('receiver');
    const net = await lab.as(receiver, async (p) => VirtioUserNet.start(p, await vhostPath(p, 'vdpa1')));

    const pass = async (mtu: number) => {
      await linkUp(lab, name, mtu);
      const { refused } = await lab.user(async (p) => {
        const fd = await packetSocket(p, name);
        const result = await sendAll(p, fd, frames);
        await p.close(fd);
        return result;
      });
      const got: Uint8Array[] = [];
      await lab.as(receiver, async () => {
        for (let more = await net.wait(1e6); more.length > 0; more = await net.wait(1e6)) got.push(...more);
      });
      return { got, refused };
    };

    const small = await pass(1500);
    expect(small.refused).toHaveLength(12);
    expect(small.refused.every((f) => f.length > 1500 + ETH_HLEN)).toBe(true);
    expect(digest(small.got)).toEqual(digest(frames.filter((f) => f.length <= 1500 + ETH_HLEN)));

    const large = await pass(25000);
    expect(large.refused).toEqual([]);
    expect(digest(large.got)).toEqual(digest(frames));
    expect(large.got.some((f) => f.length > 2 * 4096)).toBe(true); // in several receive buffers

    expect(world.hardware(0).counters.txFrames).toBe(148);
    expect(world.hardware(1).counters.rxFrames).toBe(148);
    expect(lab.hw.counters).toMatchObject({ spurious: 0, faults: 0, aborts: 0, unclaimed: 0 });

    await lab.as(receiver, () => net.stop());
    await lab.exitProcess(receiver);
    await world.delDevice('vdpa1');
    await world.delDevice('vdpa0');
    expect(world.complaints()).toEqual([]);
    expect(await world.close()).toEqual([]);
  });
});

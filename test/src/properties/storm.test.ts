import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import { O_WRONLY } from '@vdpalab/uapi';
import { NetlinkError, vdpaDevDel, VirtioUserNet } from '@vdpalab/user';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interfaceOf, linkUp, packetSocket, unbind, vhostPath, World } from '../support/index.ts';

/** Ways to take the chain apart, each by a process of its own. */
const WAYS = {
  'unbind vhost_vdpa': (p: UserProcess) => unbind(p, 'vdpa1', 'vhost_vdpa'),
  'unbind virtio_vdpa': (p: UserProcess) => unbind(p, 'vdpa0', 'virtio_vdpa'),
  'dev del vdpa0': (p: UserProcess) => vdpaDevDel(p, 'vdpa0'),
  'dev del vdpa1': (p: UserProcess) => vdpaDevDel(p, 'vdpa1'),
  'unbind ifcvf': (p: UserProcess, w: World) => p.writeFile('/sys/bus/pci/drivers/ifcvf/unbind', `${w.vf(1)}\n`, O_WRONLY),
  'numvfs 0': (p: UserProcess, w: World) => p.writeFile(`/sys/bus/pci/devices/${w.pf}/sriov_numvfs`, '0\n', O_WRONLY),
  'rmmod ifcvf': (_: UserProcess, w: World) => w.lab.symbol('delete_module')('ifcvf', 0),
  'rmmod vhost_vdpa': (_: UserProcess, w: World) => w.lab.symbol('delete_module')('vhost_vdpa', 0),
  'rmmod virtio_net': (_: UserProcess, w: World) => w.lab.symbol('delete_module')('virtio_net', 0),
} as const;

type Way = keyof typeof WAYS;

/** Refusals that whoever comes late, or too early, may meet. */
const LATE = ['ENODEV', 'ENOENT', 'EAGAIN', 'EBUSY', 'EINVAL'];
const GONE = ['ENETDOWN', 'ENODEV', 'ENXIO', 'ENOENT'];

const steps = fc.shuffledSubarray(Object.keys(WAYS) as Way[], { minLength: 1, maxLength: 6 })
  .chain((ways) => fc.tuple(fc.constant(ways), fc.array(fc.nat(50), { minLength: ways.length, maxLength: ways.length })));

describe('a storm of removals while files are open and frames flow', () => {
  it('comes to its end once the files are closed, in whatever order, and leaves nothing', async () => {
    const seen = { late: 0, waited: 0 };
    await fc.assert(fc.asyncProperty(fc.nat(0x7fff_ffff), steps, fc.nat(60), async (seed, [ways, delays], hold) => {
      const world = await World.create({ seed, queueSize: 64, memory: '32M' });
      const { lab } = world;
      const relax = async (times: number): Promise<void> => {
        for (let i = 0; i < times; i++) await lab.symbol('cpu_relax')();
      };
      await world.addDevice('vdpa0', 0, 'virtio_vdpa');
      await world.addDevice('vdpa1', 1, 'vhost_vdpa');
      const link = await lab.user((p) => interfaceOf(p, world.vf(0)));
      await linkUp(lab, link, 1500);
      const [source, sink] = [await lab.process('source'), await lab.process('sink')];
      const socket = await lab.as(source, (p) => packetSocket(p, link));
      const net = await lab.as(sink, async (p) => VirtioUserNet.start(p, await vhostPath(p, 'vdpa1'), { queueSize: 64 }));
      const removers: UserProcess[] = [];
      for (const way of ways) removers.push(await lab.process(way));

      let finished = 0;
      ways.forEach((way, i) => lab.start(removers[i] as UserProcess, way, async (p) => {
        await relax(delays[i] ?? 0);
        try {
          await WAYS[way](p, world);
        } catch (error) {
          const errno = isKernelError(error) || error instanceof NetlinkError ? error.errno : null;
          if (errno === null || !LATE.includes(errno)) throw error;
          seen.late++;
        }
        finished++;
      }));
      lab.start(source, 'source', async (p) => {
        for (let n = 0; n < 30; n++) {
          try {
            await p.write(socket, new Uint8Array(60).fill(0xff, 0, 6));
          } catch (error) {
            if (!isKernelError(error) || !GONE.includes(error.errno)) throw error;
          }
          await relax(2);
        }
      });
      await lab.as(sink, async () => {
        for (let n = 0; n < hold; n++) {
          await net.receive();
          await relax(1);
        }
        if (finished < ways.length) seen.waited++;
        await net.stop(); // whatever has become of the device
      });
      const result = await lab.run();
      expect(result).toEqual({ kind: 'idle' });
      expect(finished).toBe(ways.length);
      expect(world.complaints()).toEqual([]);
      for (const process of [...removers, source, sink]) await lab.exitProcess(process);
      expect(await world.close()).toEqual([]);
    }), { numRuns: 40 });
    expect(Math.min(seen.late, seen.waited)).toBeGreaterThan(0); // they were in each other's way
  }, 90_000);
});

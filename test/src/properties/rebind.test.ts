import { isKernelError } from '@vdpalab/abi';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { VirtioUserNet } from '@vdpalab/user';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bind, interfaceOf, packetSocket, unbind, vhostPath, World } from '../support/index.ts';

const ETHERTYPE_EXPERIMENT = 0x88b5;
const HEADER = 14;
const FRAMES = 40;
/** What a socket says whose interface is down or gone; EINVAL is an attribute of one that is going. */
const DOWN = ['ENETDOWN', 'ENODEV', 'ENXIO', 'ENOENT', 'EINVAL'];

/** A broadcast frame with a number in it. */
function numbered(n: number): Uint8Array {
  const frame = new Uint8Array(64).fill(0xff, 0, 6);
  const view = new DataView(frame.buffer);
  view.setUint16(12, ETHERTYPE_EXPERIMENT);
  view.setUint32(HEADER, n);
  return frame;
}

const numberOf = (frame: Uint8Array): number => new DataView(frame.buffer, frame.byteOffset).getUint32(HEADER);

async function relax(lab: Lab, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await lab.symbol('cpu_relax')();
}

/** `ip link set up` on the interface over virtual function 0, once it is there. */
async function up(world: World, p: UserProcess): Promise<void> {
  const { lab } = world;
  const dev = lab.symbol('dev_get_by_name')(await interfaceOf(p, world.vf(0)));
  if (dev !== null) await lab.symbol('dev_open')(dev);
}

/** Send a numbered frame whatever happens to the interface. */
class Sender {
  fd = -1;
  readonly #world: World;
  readonly #p: UserProcess;

  constructor(world: World, p: UserProcess) {
    this.#world = world;
    this.#p = p;
  }

  /** @returns whether an interface took it */
  async send(n: number): Promise<boolean> {
    try {
      if (this.fd < 0) this.fd = await packetSocket(this.#p, await interfaceOf(this.#p, this.#world.vf(0)));
      await this.#p.write(this.fd, numbered(n));
      return true;
    } catch (error) {
      const gone = (isKernelError(error) && DOWN.includes(error.errno)) || (error instanceof Error && /carries no|has no/.test(error.message));
      if (!gone) throw error;
      await this.close();
      return false;
    }
  }

  async close(): Promise<void> {
    if (this.fd >= 0) await this.#p.close(this.fd);
    this.fd = -1;
  }
}

const pauses = fc.array(fc.nat(60), { minLength: 1, maxLength: 4 });

describe('under traffic, at any moment', () => {
  it('virtio_vdpa is unbound and bound and vhost-vdpa closed and opened: no frame twice, none out of order, nothing left', async () => {
    const seen = { arrived: 0, sent: 0, down: 0 };
    await fc.assert(fc.asyncProperty(fc.nat(0x7fff_ffff), pauses, pauses, async (seed, rebinds, reopens) => {
      const world = await World.create({ seed, queueSize: 64, memory: '32M' });
      const { lab } = world;
      await world.addDevice('vdpa0', 0, 'virtio_vdpa');
      await world.addDevice('vdpa1', 1, 'vhost_vdpa');
      await lab.user((p) => up(world, p));
      const [admin, source, sink] = [await lab.process('admin'), await lab.process('source'), await lab.process('sink')];
      const node = await lab.as(sink, (p) => vhostPath(p, 'vdpa1'));
      let busy = 2;
      let over = false;
      const got: number[] = [];
      const lastSent: number[] = [];

      lab.start(admin, 'admin', async (p) => {
        for (const pause of rebinds) {
          await relax(lab, pause);
          await unbind(p, 'vdpa0', 'virtio_vdpa');
          await relax(lab, pause >> 2);
          await bind(p, 'vdpa0', 'virtio_vdpa');
          await up(world, p);
        }
        busy--;
      });
      lab.start(source, 'source', async (p) => {
        try {
          const sender = new Sender(world, p);
          let n = 0;
          for (; n < FRAMES; n++) {
            if (await sender.send(n)) seen.sent++;
            else seen.down++;
            await relax(lab, 4);
          }
          while (busy > 0) await relax(lab, 1);
          // Everything stands again: from now on none may be lost.
          for (const end = n + 5; n < end; n++) {
            while (!(await sender.send(n))) await relax(lab, 1);
            lastSent.push(n);
          }
          await sender.close();
        } finally {
          over = true; // also when it failed: nobody waits for more then
        }
      });
      await lab.as(sink, async (p) => {
        let net = await VirtioUserNet.start(p, node, { queueSize: 64 });
        const take = async (): Promise<number> => {
          const frames = await net.receive();
          got.push(...frames.map(numberOf));
          return frames.length;
        };
        for (const pause of reopens) {
          for (let i = 0; i < pause; i++) {
            await take();
            await relax(lab, 1);
          }
          await net.stop();
          await relax(lab, pause >> 2);
          net = await VirtioUserNet.start(p, node, { queueSize: 64 });
        }
        busy--;
        while (!over) {
          await take();
          await relax(lab, 1);
        }
        for (let more = await net.wait(1e6); more.length > 0; more = await net.wait(1e6)) got.push(...more.map(numberOf));
        await net.stop();
      });

      expect(got).toEqual([...new Set(got)].toSorted((x, y) => x - y)); // rising: no repetition, no overtaking
      expect(got.slice(-lastSent.length)).toEqual(lastSent);
      expect(lab.hw.counters).toMatchObject({ faults: 0, aborts: 0, spurious: 0 });
      expect(world.complaints()).toEqual([]);
      seen.arrived += got.length;
      for (const process of [admin, source, sink]) await lab.exitProcess(process);
      await world.delDevice('vdpa1');
      await world.delDevice('vdpa0');
      expect(await world.close()).toEqual([]);
    }), { numRuns: 20 });
    // The runs were no walk-overs: frames came through, and some met a missing interface.
    expect(Math.min(seen.arrived, seen.sent, seen.down)).toBeGreaterThan(0);
  }, 60_000);
});

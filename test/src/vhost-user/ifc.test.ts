/** The user-mode driver: a virtual function over VFIO, behind a socket. */
import { hostAvailable, memfd } from '@vdpalab/libc';
import { covers } from '@vdpalab/testing';
import { VHOST_VRING_F_LOG } from '@vdpalab/uapi';
import { bits, encodeState, encodeU64, FrontEndNet, parseArguments, VHOST_F_LOG_ALL, VHOST_USER_SEND_RARP, VHOST_USER_SET_FEATURES, VHOST_USER_SET_LOG_BASE, VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_ENABLE } from '@vdpalab/vhost-user';
import { closeSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bindVfio, unbindVfio } from '../support/vfio.ts';
import { framesOutside, injectOutside, startBackEnd, type BackEnd } from '../support/vhost-user.ts';

function frame(n: number, length = 64): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 11 + n * 29) & 0xff);
  bytes.set([0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, n & 0xff, 0x88, 0xb5]);
  return bytes;
}

async function frontOf(back: BackEnd, features = 0n): Promise<FrontEndNet> {
  const front = new FrontEndNet(back.path, { features });
  await front.negotiate();
  return front;
}

test('device arguments are read, and what is none is refused', () => {
  covers('3.3.1');
  expect(parseArguments('0000:07:00.2,vdpa=1')).toEqual({ bdf: '0000:07:00.2', vdpa: true, swLiveMigration: false });
  expect(parseArguments('07:00.2,sw-live-migration=1,vdpa=0')).toEqual({ bdf: '0000:07:00.2', vdpa: false, swLiveMigration: true });
  for (const bad of ['07:00.2,vdpa', '07:00.2,vdpa=2', '07:00.2,vdpa=1,queues=3']) expect(() => parseArguments(bad)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
});

describe.runIf(hostAvailable())('the IFC driver', () => {
  test('passes frames both ways, with registers, mappings, vectors and doorbells as the front-end says, and undoes all', async () => {
    covers('1.6.1', '1.6.2', '1.6.9', '1.6.11', '1.6.12', '1.6.13', '1.6.14', '1.6.15', '1.6.16', '1.6.17', '3.3.4', '3.3.5', '3.3.6', '3.3.7', '3.3.10', '3.3.11', '3.3.12', '3.3.13', '3.1.9', '3.1.10', '3.3.17', '3.3.18');
    const back = await startBackEnd({ ifc: true });
    const vf = back.world.hardware(0);
    const front = await frontOf(back);
    expect(vf.queues.map((q) => q.enabled)).toEqual([false, false]);
    await front.start();
    expect(back.log.filter((line) => line.includes('software relay is used'))).toHaveLength(1);
    expect(vf.queues.map((q) => [q.enabled, q.size, q.vector])).toEqual([[true, 64, 1], [true, 64, 2]]);
    for (const queue of vf.queues) expect(queue.descHi * 2 ** 32 + queue.descLo).toBeGreaterThanOrEqual(front.gpa);
    const tables = back.world.lab.hw.iommu?.tables().map((t) => t.mappedPages) ?? [];
    expect(tables.filter((pages) => pages === front.size / 4096)).toHaveLength(1);
    const sent = [frame(1), frame(2, 1514), frame(3, 600)];
    for (const bytes of sent) front.send(bytes);
    expect(await framesOutside(back, 3)).toEqual(sent);
    const got = [frame(4, 1514), frame(5)];
    await injectOutside(back, got);
    expect(await front.frames(2)).toEqual(got);
    const kicks = back.app.stats(back.world.vf(0), 1);
    expect(kicks[0]).toMatch(/^kicks\t[1-3]$/);
    expect(await front.stop()).toEqual([2, 3]);
    expect(vf.queues.map((q) => [q.enabled, q.vector])).toEqual([[false, 0xffff], [false, 0xffff]]);
    expect(back.world.lab.hw.iommu?.tables().filter((t) => t.mappedPages === front.size / 4096)).toEqual([]);
    expect(back.world.lab.hw.sched.tasks().filter((t) => t.name.startsWith('ifc-'))).toEqual([]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('starts again from where it was, ring indexes included', async () => {
    covers('1.6.5', '3.3.13');
    const back = await startBackEnd({ ifc: true });
    const front = await frontOf(back);
    await front.start();
    for (let n = 0; n < 5; n++) front.send(frame(n));
    await framesOutside(back, 5);
    const bases = await front.stop();
    expect(bases).toEqual([0, 5]);
    await front.start(bases);
    expect(back.world.hardware(0).queues[1]?.state).toEqual({ lastAvail: 5, lastUsed: 5 });
    front.send(frame(9));
    expect(await framesOutside(back, 1)).toEqual([frame(9)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('switches one ring off and on while it runs', async () => {
    covers('3.1.6', '3.3.20');
    const back = await startBackEnd({ ifc: true });
    const front = await frontOf(back);
    await front.start();
    expect(await front.client.ack(VHOST_USER_SET_VRING_ENABLE, encodeState({ index: 1, num: 0 }))).toBe(0n);
    expect(back.world.hardware(0).queues.map((q) => q.enabled)).toEqual([true, false]);
    front.send(frame(1));
    expect(await front.client.ack(VHOST_USER_SET_VRING_ENABLE, encodeState({ index: 1, num: 1 }))).toBe(0n);
    expect(await framesOutside(back, 1)).toEqual([frame(1)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('has the function log the pages it writes, while the front-end wants it', async () => {
    covers('1.6.4', '3.1.7', '3.2.6', '3.2.11', '3.3.14');
    const back = await startBackEnd({ ifc: true });
    const front = await frontOf(back);
    await front.start();
    const pages = Math.ceil((front.gpa + front.size) / 4096);
    const logSize = Math.ceil(pages / 8 / 4096) * 4096;
    const log = memfd('log', logSize);
    const base = new Uint8Array(16);
    new BigUint64Array(base.buffer)[0] = BigInt(logSize);
    const answer = await front.client.ask(VHOST_USER_SET_LOG_BASE, base, [log]);
    expect(answer.payload).toHaveLength(8);
    expect(await front.client.ack(VHOST_USER_SET_FEATURES, encodeU64(front.features | bits(VHOST_F_LOG_ALL)))).toBe(0n);
    for (const index of [0, 1]) expect(await front.client.ack(VHOST_USER_SET_VRING_ADDR, front.vringAddr(index, 1 << VHOST_VRING_F_LOG))).toBe(0n);
    // The oracle: what DMA really wrote, by guest page.
    const written = new Set<number>();
    const region = back.world.lab.hw.ram.regions.find((r) => r.kind === 'mapped' && r.size === front.size);
    if (region === undefined) throw new Error('the memory is not there');
    const dirty = (): number[] => {
      const bytes = readFileSync(`/proc/self/fd/${log}`);
      return [...bytes].flatMap((byte, i) => [...Array(8).keys()].filter((b) => ((byte >> b) & 1) === 1).map((b) => i * 8 + b)).map((page) => page - front.gpa / 4096);
    };
    expect(dirty()).toEqual([]);
    const before = front.memory.u8.slice();
    await injectOutside(back, [frame(1), frame(2, 1514), frame(3)]);
    await front.frames(3);
    for (let at = 0; at < front.size; at += 4096) if (Buffer.compare(before.subarray(at, at + 4096), front.memory.u8.subarray(at, at + 4096)) !== 0) written.add(at / 4096);
    const logged = dirty();
    const avail = front.driverPages();
    // Pages that only the driver wrote need no mark; every one the device wrote has one, and no other.
    expect([...written].filter((page) => !logged.includes(page) && !avail.includes(page))).toEqual([]);
    expect(logged.filter((page) => !written.has(page))).toEqual([]);
    await front.stop();
    front.close();
    closeSync(log);
    expect(await back.close()).toEqual([]);
  });

  test('gives each function its own translation: equal guest addresses are different memory', async () => {
    covers('1.6.9', '1.6.10');
    const back = await startBackEnd({ ifc: true });
    const { world, app } = back;
    await world.lab.user((p) => bindVfio(p, world.vf(1)));
    await back.inside(() => app.create(`${back.path}2`, `${world.vf(1)},vdpa=1`));
    const one = await frontOf(back);
    const two = new FrontEndNet(`${back.path}2`);
    await two.negotiate();
    await one.start();
    await two.start();
    expect([one.gpa, one.size]).toEqual([two.gpa, two.size]);
    one.send(frame(1, 900));
    expect(await two.frames(1)).toEqual([frame(1, 900)]);
    two.send(frame(2, 77));
    expect(await one.frames(1)).toEqual([frame(2, 77)]);
    one.close();
    two.close();
    await back.inside(() => app.destroy(`${back.path}2`));
    await world.lab.user((p) => unbindVfio(p, world.vf(1)));
    expect(await back.close()).toEqual([]);
  });

  test('cannot announce a guest: the front-end is told to rely on GUEST_ANNOUNCE', async () => {
    covers('1.6.21', '3.2.10');
    const back = await startBackEnd({ ifc: true });
    const front = await frontOf(back);
    expect(await front.client.ack(VHOST_USER_SEND_RARP, encodeU64(0x5254_0000_0001n))).toBe(0n);
    expect(back.log.at(-1)).toMatch(/cannot announce the guest: only VIRTIO_NET_F_GUEST_ANNOUNCE can/);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('takes its functions only: vdpa=1, IFC ids, vfio-pci', async () => {
    covers('1.6.6', '1.6.7', '1.6.20', '3.3.1', '3.3.2');
    const back = await startBackEnd({ ifc: true });
    const vf1 = back.world.vf(1);
    const probe = (spec: string): Promise<unknown> => back.inside(() => back.app.create(`${back.path}2`, spec));
    await expect(probe(vf1)).rejects.toThrow('without vdpa=1 is a virtio driver\'s');
    await expect(probe(`${vf1},vdpa=1`)).rejects.toThrow('bound to no driver: only vfio-pci');
    await expect(probe('0000:00:01.0,vdpa=1')).rejects.toThrow('no IFC VF');
    await expect(probe('0000:09:00.0,vdpa=1')).rejects.toThrow('no such function');
    await expect(probe(`${back.world.vf(0)},vdpa=1`)).rejects.toThrow('serves another socket');
    expect(await back.close()).toEqual([]);
  });
});

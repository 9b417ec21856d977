/** A scripted front-end against the whole chain: socket, library, vhost-vdpa, ifcvf, N3000, switch. */
import { closeSync } from 'node:fs';
import { hostAvailable, memfd } from '@vdpalab/libc';
import { covers } from '@vdpalab/testing';
import { VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1, VIRTIO_NET_F_MQ } from '@vdpalab/uapi';
import { vdpaDevAdd, vdpaDevDel, VhostVdpaFile } from '@vdpalab/user';
import {
  bits, decodeU64, encodeLog, encodeState, encodeU64, FrontEndNet, has, RteVhost, VhostVdpaDriver, VHOST_F_LOG_ALL, VHOST_USER_GET_QUEUE_NUM, VHOST_USER_PROTOCOL_F_LOG_SHMFD,
  VHOST_USER_SET_FEATURES, VHOST_USER_SET_LOG_BASE, VHOST_USER_SET_VRING_ENABLE,
} from '@vdpalab/vhost-user';
import { describe, expect, test } from 'vitest';
import { bindTo, claim, vhostPath, World } from '../support/world.ts';
import { framesOutside, injectOutside, numberedFrame as frame, startBackEnd } from '../support/vhost-user.ts';

/** A UDP frame of flow `n`, whose number is the last byte of its destination address. */
function flow(n: number): Uint8Array {
  const bytes = frame(n, 80);
  bytes.set([0x08, 0x00, 0x45, 0, 0, 66, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, n, 0x10, n, 0x20, n], 12);
  return bytes;
}

describe.runIf(hostAvailable())('a front-end on a socket', () => {
  test.each([['inside a WebAssembly memory', false], ['beside one', true]])('passes frames both ways with its memory mapped %s', async (_where, beside) => {
    covers('1.6.3', '3.1.2', '3.1.3', '3.2.1', '3.2.7', '3.2.9');
    const back = await startBackEnd({ beside });
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    await front.start();
    const sent = [frame(1), frame(2, 1514), frame(3, 300)];
    for (const bytes of sent) expect(front.send(bytes)).toBe(true);
    expect(await framesOutside(back, 3)).toEqual(sent);
    const back3 = [frame(4, 1514), frame(5), frame(6, 999)];
    await injectOutside(back, back3);
    expect(await front.frames(3)).toEqual(back3);
    await front.interrupted();
    expect(await front.stop()).toEqual([3, 3]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('has its memory mapped for the device in large pages, wherever they begin in it', async () => {
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path, { num: 1024, gpa: 0x4010_0000 });
    await front.negotiate();
    await front.start();
    const lengths = back.world.lab.hw.iommu?.tables().map((table) => table.lookup(0x4020_0000)?.length ?? 0) ?? [];
    expect(Math.max(...lengths)).toBeGreaterThanOrEqual(0x20_0000);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('starts once, when all queues are ready, and stops at GET_VRING_BASE', async () => {
    covers('3.1.3', '3.1.4', '3.2.5');
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    const ready = (): number => back.log.filter((line) => line.includes('ready for processing')).length;
    expect(ready()).toBe(0);
    await front.start();
    expect(ready()).toBe(1);
    expect(front.send(frame(1))).toBe(true);
    await framesOutside(back, 1);
    expect(ready()).toBe(1);
    const { queues } = back.world.hardware(0);
    expect(queues.map((q) => q.enabled)).toEqual([true, true]);
    const bases = await front.stop();
    expect(queues.map((q) => q.enabled)).toEqual([false, false]);
    await front.start(bases);
    expect(ready()).toBe(2);
    expect(front.send(frame(2))).toBe(true);
    expect(await framesOutside(back, 1)).toEqual([frame(2)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('can be followed by another, whatever it left behind', async () => {
    const back = await startBackEnd();
    for (let n = 1; n <= 3; n++) {
      const front = new FrontEndNet(back.path, { gpa: n * 0x1000_0000 });
      await front.negotiate();
      await front.start();
      expect(front.send(frame(n))).toBe(true);
      expect(await framesOutside(back, 1)).toEqual([frame(n)]);
      front.close(); // without a word, as a process that is killed
    }
    expect(await back.close()).toEqual([]);
  });

  test('has the socket to itself: a second one is turned away', async () => {
    covers('3.1.14');
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    const second = new FrontEndNet(back.path);
    await second.client.closed();
    second.close();
    expect(back.log.at(-1)).toContain('one front-end at a time');
    await front.start();
    expect(front.send(frame(1))).toBe(true);
    expect(await framesOutside(back, 1)).toEqual([frame(1)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('without protocol features its rings start enabled', async () => {
    covers('3.2.5');
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path, { without: ~0n });
    await front.negotiate();
    expect(front.protocolFeatures).toBe(0n);
    front.features &= ~(1n << 30n);
    front.client.send(2, new Uint8Array(new BigUint64Array([front.features]).buffer));
    await front.start();
    await back.said(/ready for processing/);
    expect(front.send(frame(7))).toBe(true);
    expect(await framesOutside(back, 1)).toEqual([frame(7)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test.each([['the kernel\'s driver', {}], ['the IFC driver', { ifc: true }]])('has two pairs of queues where the device has, with %s', async (_driver, options) => {
    covers('3.1.2');
    const back = await startBackEnd({ ...options, world: { queuePairs: 2 } });
    const front = new FrontEndNet(back.path, { pairs: 2, features: bits(VIRTIO_NET_F_MQ) });
    await front.negotiate();
    expect(decodeU64((await front.client.ask(VHOST_USER_GET_QUEUE_NUM)).payload)).toBe(2n);
    await front.start();
    const sent = Array.from({ length: 6 }, (_, n) => frame(n, 80 + n));
    for (const [n, bytes] of sent.entries()) expect(front.send(bytes, n % 2)).toBe(true);
    expect((await framesOutside(back, 6)).map((bytes) => bytes.length).sort()).toEqual(sent.map((bytes) => bytes.length));
    const flows = Array.from({ length: 16 }, (_, n) => flow(n));
    await injectOutside(back, flows);
    expect((await front.frames(16)).map((bytes) => bytes[33]).sort()).toEqual(flows.map((bytes) => bytes[33]).sort());
    const { queues } = back.world.hardware(0);
    for (const index of [0, 1, 2, 3]) expect(queues[index]?.state.lastUsed, `ring ${index}`).toBeGreaterThan(0);
    expect(await front.client.ack(VHOST_USER_SET_VRING_ENABLE, encodeState({ index: 2, num: 0 }))).toBe(0n);
    await injectOutside(back, flows);
    expect(await front.frames(16)).toHaveLength(16);
    const [rx, tx, , tx2] = await front.stop();
    expect([tx, tx2]).toEqual([3, 3]);
    expect(rx).toBeGreaterThanOrEqual(17);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('cannot have written pages logged by a device of the kernel\'s: Linux 6.1 has no log there', async () => {
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    expect([has(front.features, VHOST_F_LOG_ALL), has(front.protocolFeatures, VHOST_USER_PROTOCOL_F_LOG_SHMFD)]).toEqual([false, false]);
    await front.start();
    const refused = (): unknown => back.world.lab.refusals.refusals.at(-1)?.error;
    expect(await front.client.ack(VHOST_USER_SET_FEATURES, encodeU64(front.features | bits(VHOST_F_LOG_ALL)))).toBe(1n);
    expect(refused()).toMatchObject({ rule: 'vhost_user.features.unknown', message: expect.stringContaining('0x4000000 was not offered') });
    const log = memfd('log', 4096);
    expect(await front.client.ack(VHOST_USER_SET_LOG_BASE, encodeLog({ size: 4096n, offset: 0n }), [log])).toBe(1n);
    expect(refused()).toMatchObject({ rule: 'vhost_user.log.shmfd' });
    closeSync(log);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test.each([['the kernel\'s driver', {}], ['the IFC driver', { ifc: true }]])('may be of virtio 0.95, with %s', async (_driver, options) => {
    covers('1.6.18');
    const back = await startBackEnd(options);
    const front = new FrontEndNet(back.path, { legacy: true });
    await front.negotiate();
    expect(has(front.features, VIRTIO_F_VERSION_1)).toBe(false);
    await front.start();
    expect(front.usedPages(0)).toEqual([1]); // by the legacy rule: a used ring begins a page
    const sent = [frame(1), frame(2, 1514)];
    for (const bytes of sent) front.send(bytes);
    expect(await framesOutside(back, 2)).toEqual(sent);
    await injectOutside(back, sent);
    expect(await front.frames(2)).toEqual(sent);
    expect(await front.stop()).toEqual([2, 2]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('is offered split rings only, whatever the device has', async () => {
    const plain = '0000:00:04.0';
    const world = await World.create({
      modules: ['vhost_vdpa', 'pci_pf_stub', 'vp_vdpa'], functions: [{ at: plain.slice(5), model: 'virtio-net', disable_legacy: true, packed: true, link: 'sw0' }],
    });
    const { lab } = world;
    const packed = await lab.user(async (p) => {
      await claim(p, plain, 'vp-vdpa');
      await vdpaDevAdd(p, 'vdpa0', `pci/${plain}`);
      await bindTo(p, 'vdpa0', 'vhost_vdpa');
      const file = await VhostVdpaFile.open(p, await vhostPath(p, 'vdpa0'));
      const device = await file.features();
      await file.close();
      const vhost = new RteVhost(lab, p);
      const driver = await VhostVdpaDriver.probe(vhost, 'vdpa0');
      const offered = driver.ops.get_features();
      await driver.close();
      vhost.close();
      await vhost.run();
      return [device, offered].map((features) => has(features, VIRTIO_F_RING_PACKED));
    });
    expect(packed).toEqual([true, false]);
    await lab.user((p) => vdpaDevDel(p, 'vdpa0'));
    expect(await world.close()).toEqual([]);
  });
});

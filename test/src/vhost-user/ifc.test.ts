/** The user-mode driver: a virtual function over VFIO, behind a socket. */
import { hostAvailable, socketPair } from '@vdpalab/libc';
import { covers } from '@vdpalab/testing';
import { VfioGroupFile } from '@vdpalab/user';
import {
  encodeState, encodeU64, FrontEndLog, FrontEndNet, parseArguments, VdpaApp, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_SEND_RARP, VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_SET_VRING_ENABLE,
  VhostUserClient,
} from '@vdpalab/vhost-user';
import { closeSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bindVfio, groupOf, startVfioEnd, unbindVfio } from '../support/vfio.ts';
import { stopEnd } from '../support/pair.ts';
import { framesOutside, injectOutside, numberedFrame as frame, startBackEnd, type BackEnd } from '../support/vhost-user.ts';
import { World, type WorldOptions } from '../support/world.ts';

async function frontOf(back: BackEnd, features = 0n): Promise<FrontEndNet> {
  const front = new FrontEndNet(back.path, { features });
  await front.negotiate();
  return front;
}

/** Why a function of such a world cannot be had, with each of some arguments. */
async function refusals(options: WorldOptions, ...devargs: readonly string[]): Promise<unknown[]> {
  const world = await World.create({ ...options, modules: ['vfio_pci', 'pci_pf_stub'], clock: 'paced' });
  const { lab } = world;
  if (options.iommu !== false) await lab.user((p) => bindVfio(p, world.vf(0)));
  const p = await lab.process('vhost-user');
  const reasons: unknown[] = [];
  await lab.as(p, async () => {
    const app = new VdpaApp(lab, p);
    for (const args of devargs) reasons.push(await app.create('/tmp/never', `${world.vf(0)},${args}`).catch((thrown: unknown) => thrown));
    app.quit();
    await app.run();
  });
  await lab.exitProcess(p);
  if (options.iommu !== false) await lab.user((q) => unbindVfio(q, world.vf(0)));
  expect(await world.close()).toEqual([]);
  return reasons;
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
    covers('3.1.7', '3.2.11', '3.3.14');
    const back = await startBackEnd({ ifc: true, world: { iommu: 48 } });
    const front = await frontOf(back);
    await front.start();
    const receive = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) await injectOutside(back, [frame(n)]);
      await front.frames(count);
    };
    const log = await FrontEndLog.start(front);
    const { migration } = back.world.hardware(0);
    expect([migration.control, migration.baseLo, migration.baseHi]).toEqual([1, 0, 0x1000]);
    expect(log.pages()).toEqual([]);
    await receive(10);
    const pages = log.pages();
    expect(pages.length).toBeGreaterThanOrEqual(5);
    await log.stop();
    expect(migration.control).toBe(0);
    await receive(10);
    expect(log.pages()).toEqual(pages);
    await front.stop();
    front.close();
    log.close();
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

  test('tells the front-end that the configuration has changed', async () => {
    covers('3.2.3', '3.3.8');
    const back = await startBackEnd({ ifc: true });
    const front = await frontOf(back);
    const [ours, theirs] = socketPair();
    const channel = new VhostUserClient(ours);
    await front.done(VHOST_USER_SET_BACKEND_REQ_FD, new Uint8Array(0), [theirs]);
    closeSync(theirs);
    await front.start();
    await back.world.lab.kernel(async () => back.world.hardware(0).setMac(Uint8Array.of(2, 0, 0, 0, 0, 7)));
    expect(await channel.answer()).toMatchObject({ request: VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, flags: 1, payload: new Uint8Array(0), fds: [] });
    channel.close();
    front.close();
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

  test('has the function with vdpa=1, and a virtio driver has it without', async () => {
    covers('F11', '1.6.7', '1.9.15');
    const back = await startBackEnd({ ifc: true });
    const { world, app } = back;
    const vf1 = world.vf(1);
    await world.lab.user((p) => bindVfio(p, vf1));
    const destination = `${back.path}2`;
    const create = (spec: string): Promise<void> => back.inside(() => app.create(destination, spec));
    await expect(create(vf1)).rejects.toThrow('without vdpa=1 is a virtio driver\'s');
    const poller = await startVfioEnd(world, 1);
    await world.lab.as(poller.process, () => poller.net.send(frame(1)));
    expect(await framesOutside(back, 1)).toEqual([frame(1)]);
    await expect(create(`${vf1},vdpa=1`)).rejects.toThrow(expect.objectContaining({ errno: 'EBUSY' }));
    await stopEnd(world, poller);

    await create(`${vf1},vdpa=1`);
    await expect(world.lab.user(async (p) => VfioGroupFile.open(p, await groupOf(p, vf1)))).rejects.toThrow(expect.objectContaining({ errno: 'EBUSY' }));
    const maps = (): number[] => (world.lab.hw.iommu?.tables() ?? []).map((t) => t.mappedPages).filter((pages) => pages > 0);
    const before = maps();
    const front = new FrontEndNet(destination);
    await front.negotiate();
    expect([back.log.filter((line) => line.includes('ready for processing')), maps()]).toEqual([[], before]);
    await front.start();
    front.send(frame(2));
    expect(await framesOutside(back, 1)).toEqual([frame(2)]);
    expect(back.log.filter((line) => line.includes('ready for processing'))).toHaveLength(1);
    expect(maps()).toEqual([...before, front.size / 4096]);
    front.close();
    await back.inside(() => app.destroy(destination));
    await world.lab.user((p) => unbindVfio(p, vf1));
    expect(await back.close()).toEqual([]);
  });

  test('takes its functions only: vdpa=1, IFC ids, vfio-pci', async () => {
    covers('1.6.6', '1.6.20', '1.9.14', '3.3.1', '3.3.2', '3.3.19');
    const back = await startBackEnd({ ifc: true });
    const vf1 = back.world.vf(1);
    const probe = (spec: string): Promise<unknown> => back.inside(() => back.app.create(`${back.path}2`, spec));
    await expect(probe(`${vf1},vdpa=1`)).rejects.toThrow('bound to no driver: only vfio-pci');
    await expect(probe('0000:00:01.0,vdpa=1')).rejects.toThrow('no IFC VF');
    await expect(probe('0000:09:00.0,vdpa=1')).rejects.toThrow('no such function');
    await expect(probe(`${back.world.vf(0)},vdpa=1`)).rejects.toThrow('serves another socket');
    expect(await back.close()).toEqual([]);
  });

  test('wants a live migration region, whoever is to log', async () => {
    covers('3.3.3');
    const reason = { rule: 'vhost_user.ifc.log', message: expect.stringContaining('no live migration region (BAR 4)') };
    expect(await refusals({ lmProfile: 'none' }, 'vdpa=1', 'vdpa=1,sw-live-migration=1')).toMatchObject([reason, reason]);
  });

  test('wants an IOMMU', async () => {
    covers('1.6.19');
    expect(await refusals({ iommu: false }, 'vdpa=1')).toMatchObject([{ rule: 'vhost_user.ifc.iommu', message: expect.stringContaining('addresses need a platform IOMMU') }]);
  });
});

/** A guest moves from one virtual function to another, with what the first writes logged by the function or by the driver's relay. */
import { hostAvailable } from '@vdpalab/libc';
import type { EthernetSwitch } from '@vdpalab/machine';
import { covers } from '@vdpalab/testing';
import { VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { bits, encodeU64, FrontEndLog, FrontEndNet, has, VHOST_USER_SEND_RARP, type FrontEndOptions } from '@vdpalab/vhost-user';
import { describe, expect, test } from 'vitest';
import { bindVfio, unbindVfio } from '../support/vfio.ts';
import { framesOutside, injectOutside, numberedFrame, startBackEnd, type BackEnd } from '../support/vhost-user.ts';

const PAGE = 4096;

/** Guest pages that DMA has written since, as an observer of all DMA saw it. */
function observe({ world: { lab } }: BackEnd, front: FrontEndNet): Set<number> {
  const region = lab.hw.ram.regions.find((r) => r.kind === 'mapped' && r.size === front.size);
  if (region === undefined) throw new Error('the guest\'s memory is not there');
  const written = new Set<number>();
  lab.hw.observeDma((_rid, pa, len, write) => {
    const at = pa - region.base;
    for (let page = Math.floor(at / PAGE); write && page <= Math.floor((at + len - 1) / PAGE); page++) {
      if (page >= 0 && page < front.size / PAGE) written.add(page);
    }
  });
  return written;
}

/** What one migration showed. */
interface Migration {
  readonly logged: readonly number[];
  readonly written: readonly number[];
  /** Where the first function was in each ring, and with what the second began. */
  readonly left: readonly number[];
  readonly entered: readonly unknown[];
}

/** Traffic, a migration in the middle of it, traffic. */
async function migrate(devargs: string): Promise<Migration> {
  const back = await startBackEnd({ ifc: true, devargs, world: { iommu: 48 } });
  const { world } = back;
  const destination = `${back.path}2`;
  await world.lab.user((p) => bindVfio(p, world.vf(1)));
  await back.inside(() => back.app.create(destination, `${world.vf(1)},${devargs}`));
  const front = new FrontEndNet(back.path);
  await front.negotiate();
  await front.start();
  const pass = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) {
      const [sent, received] = [numberedFrame(n, 60 + n), numberedFrame(n + 100, 60 + 23 * n)];
      expect(front.send(sent)).toBe(true);
      expect(await framesOutside(back, 1)).toEqual([sent]);
      await injectOutside(back, [received]);
      expect(await front.frames(1)).toEqual([received]);
    }
  };
  await pass(0, 7);
  const written = observe(back, front);
  const log = await FrontEndLog.start(front);
  await pass(7, 29);
  const left = await front.stop();
  world.lab.hw.observeDma(null);
  const logged = log.pages();
  await front.moveTo(destination, left);
  const entered = world.hardware(1).queues.map((q) => q.state);
  await pass(29, 40);
  expect(await front.stop()).toEqual([40, 40]);
  log.close();
  front.close();
  await back.inside(() => back.app.destroy(destination));
  await world.lab.user((p) => unbindVfio(p, world.vf(1)));
  expect(await back.close()).toEqual([]);
  return { logged, written: [...written].sort((a, b) => a - b), left, entered };
}

describe.runIf(hostAvailable())('a migration', { timeout: 60_000 }, () => {
  test('with the function\'s log and with the driver\'s relay finds the same pages: those that were written', async () => {
    covers('F12', 'F13', '1.1.18', '1.6.4', '1.6.5', '1.6.8', '3.2.6', '3.3.14');
    const [hardware, software] = [await migrate('vdpa=1'), await migrate('vdpa=1,sw-live-migration=1')];
    expect(hardware.logged).toEqual(hardware.written);
    expect(hardware.logged.length).toBeGreaterThan(10);
    expect(software.logged).toEqual(hardware.logged);
    for (const { left, entered } of [hardware, software]) {
      expect(left).toEqual([29, 29]);
      expect(entered).toEqual([{ lastAvail: 29, lastUsed: 29 }, { lastAvail: 29, lastUsed: 29 }]);
    }
  });
});

describe.runIf(hostAvailable())('after a migration', { timeout: 60_000 }, () => {
  const MAC = Uint8Array.of(0x52, 0x54, 0, 0, 0, 0x77);
  /** A frame of the guest's: to everybody, as one that announces it. */
  const fromGuest = (n: number): Uint8Array => Uint8Array.from([...Array<number>(6).fill(0xff), ...MAC, ...numberedFrame(n).slice(12)]);
  const toGuest = (n: number): Uint8Array => Uint8Array.from([...MAC, ...numberedFrame(n).slice(6)]);

  test.each([[true], [false]])('the switch learns where the guest is when it announces itself, and a VF cannot do that for it (GUEST_ANNOUNCE %s)', async (announces) => {
    covers('F15', '1.6.21', '3.2.10');
    const back = await startBackEnd({ ifc: true, world: { vfs: 3 } });
    const { world } = back;
    const sw0 = world.lab.pci.networks.get('sw0') as EthernetSwitch;
    for (const vf of [1, 2]) {
      await world.lab.user((p) => bindVfio(p, world.vf(vf)));
      await back.inside(() => back.app.create(`${back.path}${vf}`, `${world.vf(vf)},vdpa=1`));
    }
    const portOf = (vf: number): number | undefined => world.hardware(vf).port?.index;
    const learned = (): number => sw0.macs.find(MAC[0]! | (MAC[1]! << 8), MAC[4]! | (MAC[5]! << 8));
    const front = new FrontEndNet(`${back.path}1`, { features: announces ? bits(VIRTIO_NET_F_GUEST_ANNOUNCE) : 0n });
    await front.negotiate();
    await front.start();
    front.send(fromGuest(1));
    await framesOutside(back, 1);
    expect(learned()).toBe(portOf(1));
    await injectOutside(back, [toGuest(2)]);
    expect(await front.frames(1)).toEqual([toGuest(2)]);
    await front.moveTo(`${back.path}2`, await front.stop());

    expect(learned()).toBe(portOf(1)); // frames for it go where it was
    await injectOutside(back, [toGuest(3)]);
    if (announces) front.send(fromGuest(4));
    else {
      expect(await front.client.ack(VHOST_USER_SEND_RARP, encodeU64(0x5254_0000_0077n))).toBe(0n);
      expect(back.log.at(-1)).toMatch(/cannot announce the guest: only VIRTIO_NET_F_GUEST_ANNOUNCE can/);
      expect(learned()).toBe(portOf(1));
      front.send(fromGuest(5)); // until it says something for other reasons
    }
    await framesOutside(back, 1);
    expect(learned()).toBe(portOf(2));
    await injectOutside(back, [toGuest(6)]);
    expect(await front.frames(1)).toEqual([toGuest(6)]);
    front.close();
    for (const vf of [1, 2]) {
      await back.inside(() => back.app.destroy(`${back.path}${vf}`));
      await world.lab.user((p) => unbindVfio(p, world.vf(vf)));
    }
    expect(await back.close()).toEqual([]);
  });
});

describe.runIf(hostAvailable())('the relay of sw-live-migration=1', { timeout: 60_000 }, () => {
  const start = async ({ iommu = 48, ...options }: FrontEndOptions & { readonly iommu?: 39 | 48 } = {}): Promise<{ readonly back: BackEnd; readonly front: FrontEndNet }> => {
    const back = await startBackEnd({ ifc: true, devargs: 'vdpa=1,sw-live-migration=1', world: { iommu } });
    const front = new FrontEndNet(back.path, options);
    await front.negotiate();
    await front.start();
    return { back, front };
  };
  const threads = ({ world }: BackEnd): string[] => world.lab.hw.sched.tasks().map((t) => t.name).filter((name) => name.startsWith('ifc-')).sort();
  const relayed = ({ app, world }: BackEnd, ring: number): string | undefined => app.stats(world.vf(0), ring).find((line) => line.startsWith('relayed'));
  const receive = async (back: BackEnd, front: FrontEndNet, frames: number): Promise<void> => {
    for (let n = 0; n < frames; n++) {
      await injectOutside(back, [numberedFrame(n)]);
      expect(await front.frames(1)).toEqual([numberedFrame(n)]);
    }
  };

  test('runs while the front-end logs, and before and after that the function writes to the guest\'s rings itself', async () => {
    covers('1.6.8', '3.1.13', '3.3.6', '3.3.9', '3.3.15');
    const { back, front } = await start();
    expect(has(back.vhost.rte_vhost_driver_get_features(back.path), VIRTIO_RING_F_EVENT_IDX)).toBe(false); // the function would not see what the relay has passed on
    const used = (): number[] => back.world.hardware(0).queues.map((q) => q.usedHi);
    await receive(back, front, 5);
    expect(threads(back)).toEqual(['ifc-int', 'ifc-noti']);
    expect(used()).toEqual([0, 0]);
    const log = await FrontEndLog.start(front);
    expect(threads(back)).toEqual(['ifc-int', 'ifc-ring']);
    expect(used()).toEqual([0x2000, 0]);
    await receive(back, front, 5);
    front.send(numberedFrame(1));
    expect(await framesOutside(back, 1)).toEqual([numberedFrame(1)]);
    expect([relayed(back, 0), relayed(back, 1)]).toEqual(['relayed\t5', 'relayed\t0']);
    await log.stop();
    expect(threads(back)).toEqual(['ifc-int', 'ifc-noti']);
    expect(used()).toEqual([0, 0]);
    await receive(back, front, 5);
    expect(relayed(back, 0)).toBe('relayed\t5');
    expect(await front.stop()).toEqual([15, 1]);
    expect(threads(back)).toEqual([]);
    log.close();
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('works for each used entry, and not at all when there is none', async () => {
    covers('1.9.13');
    const { back, front } = await start({ iommu: 39 });
    const log = await FrontEndLog.start(front);
    expect(back.world.hardware(0).queues[0]?.usedHi).toBe(0x70); // lower than with 48 address bits
    const idle = (): Promise<void> => back.inside(() => back.world.lab.symbol('msleep')(20));
    await idle();
    expect(relayed(back, 0)).toBe('relayed\t0');
    for (const round of [1, 2, 3, 4]) {
      await receive(back, front, 100);
      expect(relayed(back, 0)).toBe(`relayed\t${100 * round}`);
      await idle();
      expect(relayed(back, 0)).toBe(`relayed\t${100 * round}`);
    }
    log.close();
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('brings frames to a guest that takes no interrupts, and what is left when the rings stop', async () => {
    covers('3.3.16');
    const { back, front } = await start();
    const log = await FrontEndLog.start(front);
    front.poll();
    await injectOutside(back, [numberedFrame(1)]);
    while (!front.arrived) await back.inside(() => back.world.lab.symbol('msleep')(1));
    expect(front.receive()).toEqual([numberedFrame(1)]);
    const frames = Array.from({ length: 20 }, (_, n) => numberedFrame(n, 100 + n));
    await injectOutside(back, frames);
    expect(await front.stop()).toEqual([21, 0]);
    expect(front.receive()).toEqual(frames);
    expect(relayed(back, 0)).toBe('relayed\t21');
    for (const page of front.usedPages(0)) expect(log.pages()).toContain(page);
    log.close();
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('is refused where its rings find no place, and the guest goes on as before', async () => {
    const { back, front } = await start({ iommu: 39, gpa: 0x70_0000_0000 }); // where they go when the IOMMU has 39 bits
    await expect(FrontEndLog.start(front)).rejects.toThrow('refuses SET_FEATURES');
    expect(back.world.lab.refusals.refusals.at(-1)?.error.rule).toBe('vfio_type1.map.overlap');
    expect(threads(back)).toEqual(['ifc-int', 'ifc-noti']);
    await receive(back, front, 3);
    front.close();
    expect(await back.close()).toEqual([]);
  });
});

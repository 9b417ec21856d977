import { covers } from '@vdpalab/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { injectOutside, startBackEnd, type BackEnd } from '../../support/vhost-user.ts';
import { bindVfio, unbindVfio } from '../../support/vfio.ts';
import { unreal } from '../mounted-lab.ts';
import { Guest, type GuestOptions } from './guest.ts';
import { GuestImage, missing, required } from './image.ts';
import { vhostUserCard } from './vhost-user-card.ts';
import { Qmp } from './qmp.ts';
import { differentPages } from './ram.ts';
import { httpBothWays, linkUp, ping, tftpBothWays, type Peer } from './traffic.ts';

const absent = missing() ?? unreal;
const MIB = 2 ** 20;
const PEER: Peer = { ip: '10.0.0.1' };
/** Milliseconds for several boots on a loaded machine. */
const SLOW = 300_000;

/** An ARP request of a host for its own address. */
function isAnnouncement(frame: Uint8Array): boolean {
  const [type, sender, target] = [[12, 14], [28, 32], [38, 42]].map(([from, to]) => Buffer.from(frame.subarray(from, to)).toString('hex'));
  return type === '0806' && sender === target;
}

describe.skipIf(absent !== null && !required)(`QEMU's -netdev vhost-user${absent === null ? '' : ` (missing: ${absent})`}`, () => {
  let image: GuestImage;
  let guest: Guest | null = null;
  let backEnd: BackEnd | null = null;

  beforeAll(() => {
    image = new GuestImage();
  });
  afterAll(async () => {
    await guest?.kill();
    await backEnd?.close();
    image.close();
  });

  async function boot(path: string, options: GuestOptions = {}): Promise<Guest> {
    guest = await Guest.start(image, { ...options, shared: true, args: vhostUserCard(path) });
    return guest;
  }

  it('drives a virtual function through a socket: pings, files, restart, death in mid-traffic, and the next one', async () => {
    backEnd = await startBackEnd({ world: { responders: [{}] } });
    const { path, world } = backEnd;
    const responder = world.lab.pci.responders.get('responder')!;
    let vm = await boot(path, { restarts: true });
    await linkUp(vm);
    expect(await ping(vm, PEER, 50)).toMatchObject({ sent: 50, received: 50 });
    await tftpBothWays(vm, PEER, MIB / 4);
    await httpBothWays(vm, PEER, 2 * MIB);
    expect(responder.counters).toMatchObject({ malformed: 0, corrupt: 0 });

    await vm.restart();
    await linkUp(vm);
    expect(await ping(vm, PEER, 20)).toMatchObject({ sent: 20, received: 20 });

    await vm.ok('head -c 4194304 /dev/urandom > /tmp/big; (while true; do tftp -p -b 1428 -l /tmp/big -r big 10.0.0.1; done) > /tmp/log 2>&1 &');
    const over = backEnd.said(/closed/);
    await vm.kill();
    await over;

    vm = await boot(path);
    await linkUp(vm);
    expect(await ping(vm, PEER, 20)).toMatchObject({ sent: 20, received: 20 });
    await vm.poweroff();
    guest = null;
    const left = await backEnd.close();
    backEnd = null;
    expect(left).toEqual([]);
  }, SLOW);

  it('moves to another function while it runs, with every page that the device wrote, and announces itself there', async () => {
    covers('3.5.8');
    backEnd = await startBackEnd({ ifc: true, world: { responders: [{}] } });
    const { path, world, app, inside } = backEnd;
    await world.lab.user((p) => bindVfio(p, world.vf(1)));
    const second = `${path}2`;
    await inside(() => app.create(second, `${world.vf(1)},vdpa=1`));
    const [from, to] = [new Qmp(), new Qmp()];
    // Pages that the kernel zeroes are dirty anyway; without that only the log tells of received frames.
    const options = { shared: true, append: 'init_on_alloc=0' };
    const source = await Guest.start(image, { ...options, args: [...vhostUserCard(path), ...from.args] });
    guest = source;
    const target = Guest.launch(image, { ...options, args: [...vhostUserCard(second), ...to.args, '-incoming', 'defer', '-S'] });
    try {
      await linkUp(source);
      await source.ok('ping -i 0.01 10.0.0.1 > /tmp/pings 2>&1 & echo $! > /tmp/pid');
      for (const monitor of [from, to]) await monitor.execute('qmp_capabilities');
      await from.execute('migrate-set-parameters', { 'max-bandwidth': 16 * MIB });
      const uri = `unix:${path}.migration`;
      await to.execute('migrate-incoming', { uri });
      await from.execute('migrate', { uri });
      // Frames so small that the guest copies them out and never writes to the pages that received them.
      const mac = (await source.ok('cat /sys/class/net/eth0/address')).trim();
      const small = Buffer.concat([Buffer.from(`${mac}:52:54:00:00:00:aa:88:b5`.replaceAll(':', ''), 'hex'), Buffer.alloc(98, 0x5a)]);
      let status = 'setup';
      while (['setup', 'active', 'device', 'pre-switchover'].includes(status)) {
        await injectOutside(backEnd, Array.from({ length: 8 }, () => small));
        ({ status } = await from.execute('query-migrate') as { status: string });
      }
      expect(status).toBe('completed');
      expect(differentPages(source.pid, target.pid)).toEqual([]);
      await source.kill();
      guest = target;
      backEnd.outside.take();
      await to.execute('cont');
      // QEMU sets VIRTIO_NET_S_ANNOUNCE, and the guest tells the network where it is now.
      await vi.waitFor(() => expect(backEnd?.outside.take().some(isAnnouncement)).toBe(true), { timeout: 20_000, interval: 50 });
      const [, sent, received] = /(\d+) packets transmitted, (\d+) packets received/.exec(
        await target.ok('kill -INT $(cat /tmp/pid); while kill -0 $(cat /tmp/pid); do sleep 0.1; done 2>/dev/null; cat /tmp/pings'),
      ) ?? [];
      expect(Number(sent)).toBeGreaterThan(20);
      expect(Number(sent) - Number(received)).toBeLessThan(10); // what was under way when it moved: a tenth of a second's
      expect(await ping(target, PEER, 20)).toMatchObject({ sent: 20, received: 20 });
      await httpBothWays(target, PEER, MIB / 2);
      await target.poweroff();
      guest = null;
    } finally {
      await source.kill();
      await target.kill();
      from.close();
      to.close();
    }
    await inside(() => app.destroy(second));
    await world.lab.user((p) => unbindVfio(p, world.vf(1)));
    const left = await backEnd.close();
    backEnd = null;
    expect(left).toEqual([]);
  }, SLOW);
});

import { covers } from '@vdpalab/testing';
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW, VIRTIO_F_RING_PACKED } from '@vdpalab/uapi';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { unreal } from '../mounted-lab.ts';
import { LabDoor } from './door.ts';
import { Guest, type GuestOptions } from './guest.ts';
import { GuestImage, missing, required, VLAN_MODULES } from './image.ts';
import { Qmp } from './qmp.ts';
import { httpBothWays, linkUp, ping, tftpBothWays } from './traffic.ts';
import { firstBatch, startOf, TRACED, vdpaCalls } from './vdpa-trace.ts';

const absent = missing() ?? unreal;
const MIB = 2 ** 20;
/** Milliseconds for a test with several boots on a loaded machine. */
const SLOW = 300_000;

/** Memory of the guest's above the 39 address bits of the device. */
const OUT_OF_REACH = ['-m', 'slots=1,maxmem=520G', '-object', 'memory-backend-ram,id=far,size=64M', '-device', 'pc-dimm,memdev=far,addr=0x8000000000'];
/** The firmware in a flash chip: a ROM that can be written. */
const FLASH = ['-drive', 'if=pflash,format=raw,readonly=on,file=/usr/share/seabios/bios-256k.bin'];
const RING = ['set_vring_num', 'set_vring_base', 'set_vring_addr', 'set_vring_kick'];

describe.skipIf(absent !== null && !required)(`QEMU's -netdev vhost-vdpa${absent === null ? '' : ` (missing: ${absent})`}`, () => {
  let image: GuestImage;
  let guest: Guest | null = null;
  let door: LabDoor | null = null;

  beforeAll(() => {
    image = new GuestImage();
  });
  afterAll(() => image.close());

  /** What is held when a device is there and nobody uses it. */
  let idle: string[] = [];

  async function open(...args: Parameters<typeof LabDoor.open>): Promise<LabDoor> {
    door = await LabDoor.open(...args);
    idle = door.world.lab.leftovers();
    return door;
  }

  async function boot(lab: LabDoor, options: GuestOptions = {}, netdev = '', device = ''): Promise<Guest> {
    guest = await Guest.start(image, { ...options, args: [...lab.args(netdev, device), ...(options.args ?? [])] });
    return guest;
  }

  /** Wait until the lab holds no more than before QEMU came. */
  async function released(lab: LabDoor): Promise<void> {
    await vi.waitFor(() => expect(lab.world.lab.leftovers()).toEqual(idle), { timeout: 10_000, interval: 50 });
  }

  /** Close what a test opened: whole when it went well, killed when it did not. */
  async function end(): Promise<void> {
    await guest?.poweroff();
    guest = null;
    await released(door!);
    const left = await door!.close();
    door = null;
    expect(left).toEqual([]);
  }

  afterAll(async () => {
    await guest?.kill();
    await door?.close();
  });

  it('drives a virtual function: pings, files, unbind and bind, restart, death in mid-traffic, and the next one', async () => {
    const lab = await open({ parent: 'ifcvf' });
    let vm = await boot(lab, { restarts: true });
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 100)).toMatchObject({ sent: 100, received: 100 });
    expect(await ping(vm, lab.peer, 20, 20, 1400)).toMatchObject({ sent: 20, received: 20 });
    await tftpBothWays(vm, lab.peer, MIB / 4);
    await httpBothWays(vm, lab.peer, 2 * MIB);
    expect(lab.responder.counters).toMatchObject({ malformed: 0, corrupt: 0 });

    await vm.ok('echo virtio0 > /sys/bus/virtio/drivers/virtio_net/unbind && test ! -e /sys/class/net/eth0');
    await vm.ok('echo virtio0 > /sys/bus/virtio/drivers/virtio_net/bind');
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 20)).toMatchObject({ sent: 20, received: 20 });

    await vm.restart();
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 20)).toMatchObject({ sent: 20, received: 20 });

    await vm.ok(`head -c ${4 * MIB} /dev/urandom > /tmp/big; (while true; do tftp -p -b 1428 -l /tmp/big -r big 10.0.0.1; done) > /tmp/log 2>&1 & ping -q -i 0.005 10.0.0.1 > /tmp/log2 2>&1 &`);
    const { udp } = lab.responder.counters;
    await vi.waitFor(() => expect(lab.responder.counters.udp).toBeGreaterThan(udp + 100), { timeout: 20_000, interval: 20 });
    await vm.kill();
    await released(lab);

    vm = await boot(lab);
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 20)).toMatchObject({ sent: 20, received: 20 });
    await httpBothWays(vm, lab.peer, MIB / 2);
    await end();
  }, SLOW);

  it('reaches memory that QEMU shares as well, with a doorbell page per queue', async () => {
    const lab = await open({ parent: 'ifcvf' });
    const vm = await boot(lab, { shared: true }, '', 'page-per-vq=on');
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 50)).toMatchObject({ sent: 50, received: 50 });
    await httpBothWays(vm, lab.peer, 2 * MIB);
    await end();
  }, SLOW);

  it('lets QEMU stand between the guest\'s rings and the device', async () => {
    covers('3.5.4');
    const lab = await open({ parent: 'ifcvf', shadowable: true });
    const vm = await boot(lab, {}, 'x-svq=on');
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 50)).toMatchObject({ sent: 50, received: 50 });
    await httpBothWays(vm, lab.peer, MIB);
    await end();
  }, SLOW);

  it('moves no guest whose rings QEMU does not shadow: QEMU 7.2 refuses', async () => {
    const lab = await open({ parent: 'ifcvf' });
    const qmp = new Qmp();
    try {
      await boot(lab, { args: qmp.args });
      await qmp.execute('qmp_capabilities');
      await expect(qmp.execute('migrate', { uri: 'unix:/nobody' })).rejects.toThrow('Migration disabled: vhost lacks VHOST_F_LOG_ALL feature');
    } finally {
      qmp.close();
    }
    await end();
  }, SLOW);

  it('gives a guest with two processors two pairs of queues and a control queue, and its memory in one batch', async () => {
    covers('3.5.1', '3.5.2');
    const lab = await open({ parent: 'ifcvf', queuePairs: 2 });
    const vm = await boot(lab, { cpus: 2, args: [...TRACED, ...OUT_OF_REACH, ...FLASH] }, 'queues=2', 'mq=on');
    await linkUp(vm);
    const calls = vdpaCalls(vm.stderr);
    const [pair, control] = [[...RING, ...RING, 'set_vring_ready'], [...RING, 'set_vring_ready']];
    expect(startOf(calls)).toEqual(['set_features', 'add_status', ...pair, ...pair, ...control, 'listener_begin_batch', 'listener_commit', 'add_status']);
    // All of RAM and nothing besides: no BARs, no flash chip, nothing out of reach. Copies of ROM are for reading.
    let mapped = 0;
    for (const { iova, size } of firstBatch(calls)) {
      expect(iova).toBe(mapped);
      mapped += size;
    }
    expect(mapped).toBe(128 * MIB);
    expect(new Set(firstBatch(calls).map(({ perm }) => perm))).toEqual(new Set([VHOST_ACCESS_RO, VHOST_ACCESS_RW]));
    expect(vm.stderr).toContain('RAM section out of device range (max=0x7fffffffff');
    expect(lab.world.lab.hw.iommu?.tables().map((t) => t.mappedPages)).toContain(128 * MIB / 4096);
    expect((await vm.ok('ls -1 /sys/class/net/eth0/queues')).trim().split('\n')).toEqual(['rx-0', 'rx-1', 'tx-0', 'tx-1']);
    expect(await ping(vm, lab.peer, 50)).toMatchObject({ sent: 50, received: 50 });
    await httpBothWays(vm, lab.peer, MIB);
    await vm.ok('ip link set eth0 down; ip link set eth0 address 52:54:00:00:00:77'); // a command on the control queue
    expect(Buffer.from(lab.world.hardware(1).mac).toString('hex')).toBe('525400000077');
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 5)).toMatchObject({ sent: 5, received: 5 });
    await end();
  }, SLOW);

  it('drives packed rings, of a virtio function under vp_vdpa', async () => {
    const lab = await open({ parent: 'vp_vdpa' });
    const vm = await boot(lab, {}, '', 'packed=on');
    await linkUp(vm);
    expect((await vm.ok('cat /sys/class/net/eth0/device/features')).trim()[VIRTIO_F_RING_PACKED]).toBe('1');
    expect(await ping(vm, lab.peer, 50)).toMatchObject({ sent: 50, received: 50 });
    await httpBothWays(vm, lab.peer, 2 * MIB);
    expect(lab.responder.counters).toMatchObject({ malformed: 0, corrupt: 0 });
    await end();
  }, SLOW);

  it('gives a guest on a subfunction two pairs of queues and a control queue, whose commands the flow table shows', async () => {
    const lab = await open({ parent: 'mlx5_vdpa', queuePairs: 2 });
    const vm = await boot(lab, { cpus: 2 }, 'queues=2', 'mq=on');
    await linkUp(vm);
    expect((await vm.ok('ls -1 /sys/class/net/eth0/queues')).trim().split('\n')).toEqual(['rx-0', 'rx-1', 'tx-0', 'tx-1']);
    expect(await ping(vm, lab.peer, 50)).toMatchObject({ sent: 50, received: 50 });
    await httpBothWays(vm, lab.peer, MIB);
    expect(lab.responder.counters).toMatchObject({ malformed: 0, corrupt: 0 });
    const { resources } = lab.subfunction;
    const rules = (): string[] => (resources.flowRoot?.rules ?? []).map(({ value: { dmac, cvlanTag, vid } }) => `${Buffer.from(dmac).toString('hex')} ${cvlanTag === 0 ? '-' : vid}`);
    await vm.ok('ip link set eth0 down; ip link set eth0 address 52:54:00:00:00:77');
    expect(rules()).toContain('525400000077 -');
    await vm.ok(`for m in ${VLAN_MODULES.join(' ')}; do insmod /modules/$m.ko; done; ip link add link eth0 name eth0.5 type vlan id 5`);
    expect(rules()).toContain('525400000077 5');
    await vm.ok('ip link del eth0.5');
    expect(rules()).not.toContain('525400000077 5');
    await linkUp(vm);
    expect(await ping(vm, lab.peer, 5)).toMatchObject({ sent: 5, received: 5 });
    await end();
  }, SLOW);

  it('hands a guest on the simulator its own frames back: it finds its own address taken', async () => {
    const lab = await open({ parent: 'vdpasim_net' });
    for (const netdev of ['', 'x-svq=on']) {
      const vm = await boot(lab, {}, netdev);
      // Without a nonce the kernel cannot tell its own solicitation from another host's.
      await vm.ok('echo 0 > /proc/sys/net/ipv6/conf/all/enhanced_dad; echo 0 > /proc/sys/net/ipv6/conf/eth0/enhanced_dad');
      await linkUp(vm);
      await vi.waitFor(async () => expect(await vm.ok('dmesg')).toContain('duplicate address'), { timeout: 20_000, interval: 200 });
      await vm.run('arping -c 5 -w 2 -I eth0 10.0.0.1');
      await vi.waitFor(async () => {
        const [rx = 0, tx = 0] = (await vm.ok('cd /sys/class/net/eth0/statistics; cat rx_packets tx_packets')).trim().split('\n').map(Number);
        expect(tx).toBeGreaterThan(5);
        expect(rx).toBe(tx);
      }, { timeout: 20_000, interval: 200 });
      await vm.ok('ip link set eth0 down; ip link set eth0 address 52:54:00:00:00:77'); // its control queue
      await vm.poweroff();
      guest = null;
      await released(lab);
    }
    await end();
  }, SLOW);
});

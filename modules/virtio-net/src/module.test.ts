import { covers } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import {
  VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ,
} from '@vdpalab/uapi';
import { describe, expect, it, test } from 'vitest';
import virtioNet from './module.ts';
import { bootNet } from './testing/bench.ts';
import type { Bench, Taken } from './testing/bench.ts';

const HEADER = 12;
/** linux/netdevice.h */
const NET_ADDR_RANDOM = 1;
const bit = (n: number): bigint => 1n << BigInt(n);

/** An interface that is up. */
async function up(features: readonly number[] = [VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF], num = 16): Promise<Bench> {
  const b = await bootNet(features, {}, num);
  await b.run(() => b.k.dev_open(b.dev!));
  return b;
}

/** Fill a buffer with a header that says so many buffers, then a frame. */
function fill(taken: Taken, buffers: number, length: number): Taken {
  taken.bytes.fill(0, 0, HEADER);
  taken.bytes[10] = buffers;
  taken.bytes.fill(0x77, HEADER, HEADER + length);
  return taken;
}

const counters = (b: Bench): number[] => [b.dev!.stats.rx_packets, b.dev!.stats.rx_bytes, b.dev!.stats.rx_length_errors];

/** Send one frame of so many bytes. */
const send = (b: Bench, length: number, headroom: number): Promise<void> => b.run(async () => {
  const skb = b.k.alloc_skb(length, headroom);
  b.k.skb_store_bits(skb, new Uint8Array(length).fill(0x11));
  b.k.dev_queue_xmit(Object.assign(skb, { dev: b.dev }));
});

describe('what the device offers', () => {
  it('is taken where the driver knows it', async () => {
    covers('2.7.15');
    expect(virtioNet.alias).toEqual(['virtio:d00000001v*']);
    const b = await bootNet([VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_ANNOUNCE]);
    expect(b.vdev.features & 0xffff_ffffn).toBe(bit(3) | bit(5) | bit(15) | bit(16) | bit(17) | bit(21) | bit(22));
    expect(b.status).toBe(15);
    expect([
      uapi.VIRTIO_NET_F_MTU, uapi.VIRTIO_NET_F_MAC, uapi.VIRTIO_NET_F_MRG_RXBUF, uapi.VIRTIO_NET_F_STATUS, uapi.VIRTIO_NET_F_CTRL_VQ,
      uapi.VIRTIO_NET_F_CTRL_RX, uapi.VIRTIO_NET_F_CTRL_VLAN, uapi.VIRTIO_NET_F_GUEST_ANNOUNCE, uapi.VIRTIO_NET_F_MQ,
      uapi.VIRTIO_NET_F_CTRL_MAC_ADDR, uapi.VIRTIO_NET_S_LINK_UP, uapi.VIRTIO_NET_S_ANNOUNCE,
    ]).toEqual([3, 5, 15, 16, 17, 18, 19, 21, 22, 23, 1, 2]);
  });

  it('without an address gives a random one', async () => {
    const b = await bootNet([]);
    expect([b.dev!.addr_assign_type, b.dev!.dev_addr[0]! & 3]).toEqual([NET_ADDR_RANDOM, 2]);
  });

  it('with an MTU that no interface may have is taken without it', async () => {
    const b = await bootNet([VIRTIO_NET_F_MTU], { mtu: 67 });
    expect([b.vdev.features & bit(VIRTIO_NET_F_MTU), b.dev!.mtu, b.dev!.max_mtu]).toEqual([0n, 1500, 65_535]);
  });

  it('limits the MTU to the device\'s', async () => {
    const b = await bootNet([VIRTIO_NET_F_MTU], { mtu: 2000 });
    expect([b.dev!.mtu, b.dev!.min_mtu, b.dev!.max_mtu]).toEqual([2000, 68, 2000]);
    await expect(b.run(() => b.k.dev_set_mtu(b.dev!, 2001))).rejects.toThrow();
    await b.run(() => b.k.dev_set_mtu(b.dev!, 68));
    expect(b.dev!.mtu).toBe(68);
  });
});

describe('a new address', () => {
  const commanded = [VIRTIO_NET_F_MAC, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR];
  const wanted = Uint8Array.of(2, 0, 0, 0, 0, 9);
  const set = (b: Bench): Promise<unknown> => b.run(() => b.k.dev_set_mac_address(b.dev!, wanted));

  it('is a command to the device that takes it', async () => {
    const b = await bootNet(commanded);
    await set(b);
    expect([b.commands, b.dev!.dev_addr]).toEqual([[[1, 1, ...wanted]], wanted]);
    await b.run(() => b.k.unregister_virtio_device(b.vdev));
    expect(b.leftovers().filter((line) => !line.includes('transport'))).toEqual([]);
  });

  it('that the device refuses is not taken', async () => {
    const b = await bootNet(commanded);
    b.ack = 1;
    await expect(set(b)).rejects.toMatchObject({ errno: 'EINVAL', rule: 'virtio_net.mac.command' });
    expect([b.dev!.dev_addr[5], b.dmesg().at(-1)]).toEqual([1, 'virtio_net virtio0: Failed to set mac address by vq command.']);
  });

  it('is refused when the ring takes no commands any more', async () => {
    const b = await bootNet(commanded);
    b.breakControl();
    await expect(set(b)).rejects.toMatchObject({ errno: 'EINVAL' });
    expect(b.dmesg().slice(-2)).toEqual([
      'virtio_net virtio0: Failed to add sgs for command vq: -5', 'virtio_net virtio0: Failed to set mac address by vq command.',
    ]);
  });

  it('stays here when there is no command for it', async () => {
    const b = await bootNet([VIRTIO_NET_F_MAC, VIRTIO_NET_F_CTRL_VQ]);
    await set(b);
    expect([b.commands, b.dev!.dev_addr, b.config[5]]).toEqual([[], wanted, 1]);
  });

  it('by commands needs a queue for them', async () => {
    const b = await bootNet([VIRTIO_NET_F_MAC, VIRTIO_NET_F_CTRL_MAC_ADDR]);
    expect([b.dev, b.status & 0x80]).toEqual([null, 0x80]);
    expect(b.dmesg()).toContain('virtio_net virtio0: device advertises feature VIRTIO_NET_F_CTRL_MAC_ADDR but not VIRTIO_NET_F_CTRL_VQ');
  });
});

describe('the carrier', () => {
  it('is there when the device cannot say, and follows the device when it can', async () => {
    expect((await bootNet([], { status: 0 })).dev!.carrier).toBe(true);
    const b = await bootNet([VIRTIO_NET_F_STATUS], { status: 0 });
    expect(b.dev!.carrier).toBe(false);
    b.config[6] = 1;
    await b.changed();
    expect(b.dev!.carrier).toBe(true);
  });
});

test('a link whose speed nobody knows says so while it is up', async () => {
  const b = await up();
  const show = (file: string): Promise<string> => b.user(async (proc) => {
    const fd = await b.k.ksys_open(proc, `/sys/class/net/eth0/${file}`, 0);
    return String.fromCharCode(...await b.k.ksys_read(proc, fd, 64));
  });
  expect([await show('speed'), await show('duplex')]).toEqual(['-1\n', 'unknown\n']);
  await b.run(() => b.k.dev_close(b.dev!));
  await expect(show('speed')).rejects.toMatchObject({ errno: 'EINVAL' });
});

describe('receiving', () => {
  it('has the ring full of buffers as soon as the interface is up, and kicks once', async () => {
    const b = await up();
    let count = 0;
    for (let taken = b.take(0); taken !== null; taken = b.take(0)) count++;
    expect([count, b.kicks]).toEqual([16, [1, 0]]);
  });

  it('takes frames of one buffer and of several', async () => {
    const b = await up();
    const [one, first, second] = [b.take(0)!, b.take(0)!, b.take(0)!];
    await b.give(0, [fill(one, 1, 60), HEADER + 60]);
    expect(counters(b)).toEqual([1, 60, 0]);
    await b.give(0, [fill(first, 2, 4084), 4096], [second, 100]);
    expect(counters(b)).toEqual([2, 60 + 4084 + 100, 0]);
  });

  it.each([
    ['shorter than its headers', 1, [HEADER + 13]], ['longer than its buffer', 1, [4097]], ['longer than its second buffer', 2, [4096, 4097]],
    ['that says more buffers than were used', 3, [4096, 100]], ['of all ones', 1, [0xffff_ffff]],
  ])('drops and counts one %s, and goes on', async (_, buffers, lengths) => {
    const b = await up();
    const taken = lengths.map(() => b.take(0)!);
    fill(taken[0]!, buffers, 100);
    await b.give(0, ...taken.map((t, i) => [t, lengths[i]!] as const));
    expect(counters(b)).toEqual([0, 0, 1]);
    await b.give(0, [fill(b.take(0)!, 1, 60), HEADER + 60]);
    expect(counters(b)).toEqual([1, 60, 1]);
    await b.run(() => b.k.unregister_virtio_device(b.vdev));
    expect(b.leftovers().filter((line) => !line.includes('transport'))).toEqual([]);
  });

  it('without merging has buffers for the device\'s MTU', async () => {
    const sizes: number[] = [];
    for (const [features, mtu] of [[[], 9000], [[VIRTIO_NET_F_MTU], 9000], [[VIRTIO_NET_F_MTU], 1000]] as const) {
      const b = await bootNet(features, { mtu });
      await b.run(() => b.k.dev_open(b.dev!));
      sizes.push(b.take(0)!.bytes.length);
    }
    expect(sizes).toEqual([4096, 3 * 4096, 4096]);
  });

  it('fills the ring again as it empties', async () => {
    const b = await up();
    for (let i = 0; i < 100; i++) await b.give(0, [fill(b.take(0)!, 1, 60), HEADER + 60]);
    expect(counters(b)[0]).toBe(100);
  });
});

describe('sending', () => {
  it('puts a header of zeros in front: in the frame\'s headroom, or in a piece of its own', async () => {
    const b = await up();
    for (const headroom of [16, 0]) {
      await send(b, 60, headroom);
      const taken = b.take(1)!;
      expect([...taken.bytes.subarray(0, HEADER), taken.bytes[HEADER], taken.bytes.length]).toEqual([...Array<number>(HEADER).fill(0), 0x11, HEADER + 60]);
      await b.give(1, [taken, 0]);
    }
    expect([b.dev!.stats.tx_packets, b.dev!.stats.tx_bytes, b.kicks[1]]).toEqual([2, 120, 2]);
  });

  it('stops when the ring has no room, and goes on when frames are sent', async () => {
    const b = await up([VIRTIO_NET_F_MAC], 32);
    for (let i = 0; i < 40; i++) await send(b, 60, 16);
    expect(b.dev!.queue_stopped).toBe(true);
    let done = 0;
    for (let taken = b.take(1); taken !== null; taken = b.take(1)) {
      await b.give(1, [taken, 0]);
      done++;
    }
    expect([done, b.dev!.queue_stopped, b.dev!.stats.tx_packets]).toEqual([40, false, 40]);
  });

  it('of what is still in the ring when the device goes leaves nothing', async () => {
    const b = await up();
    await send(b, 60, 16);
    await send(b, 60, 0);
    await b.run(() => b.k.unregister_virtio_device(b.vdev));
    expect([b.k.netdevs(), b.status]).toEqual([[], 1]);
    expect(b.leftovers().filter((line) => !line.includes('transport'))).toEqual([]);
  });
});

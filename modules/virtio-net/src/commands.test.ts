/** What the device is told through the control queue, and several queue pairs. */
import { covers } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { bootNet } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

const { VIRTIO_NET_F_MAC: MAC, VIRTIO_NET_F_CTRL_VQ: CTRL_VQ, VIRTIO_NET_F_MQ: MQ, VIRTIO_NET_F_STATUS: STATUS } = uapi;

/** Change flags as `ip link set` does. */
const flags = (b: Bench, set: number, mask = set): Promise<void> => b.user(async (proc) => {
  const fd = await b.k.ksys_open(proc, '/sys/class/net/eth0/flags', uapi.O_RDWR);
  const now = Number.parseInt(String.fromCharCode(...await b.k.ksys_read(proc, fd, 32)), 16);
  await b.k.ksys_write(proc, fd, uapi.utf8Encode(`0x${((now & ~mask) | set).toString(16)}\n`));
  await b.k.ksys_close(proc, fd);
});

const queues = (b: Bench): Promise<readonly string[]> => b.user(async (proc) =>
  (await b.k.ksys_readdir(proc, '/sys/class/net/eth0/queues')).map(({ name }) => name).toSorted());

/** Frames of so many flows, told apart by an address. */
const sendFlows = (b: Bench, count: number): Promise<void> => b.run(async () => {
  for (let n = 0; n < count; n++) {
    const skb = b.k.alloc_skb(60, 16);
    b.k.skb_store_bits(skb, Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, n, 0x88, 0xb5));
    b.k.dev_queue_xmit(Object.assign(skb, { dev: b.dev }));
  }
});

describe('features that need commands', () => {
  it.each([
    [uapi.VIRTIO_NET_F_CTRL_RX, 'VIRTIO_NET_F_CTRL_RX'], [uapi.VIRTIO_NET_F_CTRL_VLAN, 'VIRTIO_NET_F_CTRL_VLAN'],
    [uapi.VIRTIO_NET_F_GUEST_ANNOUNCE, 'VIRTIO_NET_F_GUEST_ANNOUNCE'], [MQ, 'VIRTIO_NET_F_MQ'],
  ])('%i without a queue for them fails the probe', async (bit, name) => {
    const b = await bootNet([MAC, bit]);
    expect([b.dev, b.status & 0x80]).toEqual([null, 0x80]);
    expect(b.dmesg()).toContain(`virtio_net virtio0: device advertises feature ${name} but not VIRTIO_NET_F_CTRL_VQ`);
  });
});

describe('the receive mode', () => {
  it('is told when the interface comes up and when it changes', async () => {
    covers('2.7.14');
    const b = await bootNet([MAC, CTRL_VQ, uapi.VIRTIO_NET_F_CTRL_RX]);
    const noTable = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    await b.run(() => b.k.dev_open(b.dev!));
    expect(b.commands.splice(0)).toEqual([[0, 0, 0], [0, 1, 0], noTable]);
    await flags(b, uapi.IFF_PROMISC);
    expect(b.commands.splice(0)).toEqual([[0, 0, 1], [0, 1, 0], noTable]);
    await flags(b, uapi.IFF_ALLMULTI, uapi.IFF_ALLMULTI | uapi.IFF_PROMISC);
    expect(b.commands.splice(0)).toEqual([[0, 0, 0], [0, 1, 1], noTable]);
    await flags(b, uapi.IFF_NOARP);
    expect(b.commands).toEqual([]);
  });

  it('that the device refuses is in the log, and the interface stays up', async () => {
    const b = await bootNet([MAC, CTRL_VQ, uapi.VIRTIO_NET_F_CTRL_RX]);
    b.ack = uapi.VIRTIO_NET_ERR;
    await b.run(() => b.k.dev_open(b.dev!));
    expect(b.dmesg().slice(-3).map((line) => line.replace(/^net eth0: /, ''))).toEqual([
      'Failed to disable promisc mode.', 'Failed to disable allmulti mode.', 'Failed to set MAC filter table.',
    ]);
    expect(b.dev!.flags & uapi.IFF_UP).toBe(uapi.IFF_UP);
  });

  it('is not told to a device that does not filter', async () => {
    const b = await bootNet([MAC, CTRL_VQ]);
    await b.run(() => b.k.dev_open(b.dev!));
    expect(b.commands).toEqual([]);
  });
});

describe('VLANs', () => {
  const locked = (b: Bench, body: () => Promise<void>): Promise<void> => b.run(async () => {
    await b.k.rtnl_lock();
    await body();
    b.k.rtnl_unlock();
  });

  it('are told once each, and taken back with the last who wants one', async () => {
    const b = await bootNet([MAC, CTRL_VQ, uapi.VIRTIO_NET_F_CTRL_VLAN]);
    await locked(b, async () => {
      for (const vid of [5, 5, 0x123]) await b.k.vlan_vid_add(b.dev!, vid);
      for (const vid of [5, 0x123, 5, 7]) await b.k.vlan_vid_del(b.dev!, vid);
    });
    expect(b.commands).toEqual([[2, 0, 5, 0], [2, 0, 0x23, 1], [2, 1, 0x23, 1], [2, 1, 5, 0]]);
    b.ack = uapi.VIRTIO_NET_ERR;
    await locked(b, () => b.k.vlan_vid_add(b.dev!, 9));
    await locked(b, () => b.k.vlan_vid_del(b.dev!, 9));
    expect(b.dmesg().slice(-2).map((line) => line.replace(/^net eth0: /, ''))).toEqual(['Failed to add VLAN ID 9.', 'Failed to kill VLAN ID 9.']);
  });

  it('are let in by a device that does not filter them', async () => {
    const b = await bootNet([MAC, CTRL_VQ]);
    await locked(b, () => b.k.vlan_vid_add(b.dev!, 5));
    expect(b.commands).toEqual([]);
  });
});

describe('an announcement that the device asks for', () => {
  it('is made and acknowledged, and the carrier stays', async () => {
    const b = await bootNet([MAC, CTRL_VQ, STATUS, uapi.VIRTIO_NET_F_GUEST_ANNOUNCE]);
    b.config[6] = uapi.VIRTIO_NET_S_LINK_UP | uapi.VIRTIO_NET_S_ANNOUNCE;
    await b.changed();
    expect([b.commands, b.dev!.carrier]).toEqual([[[3, 0]], true]);
  });
});

describe('several queue pairs', () => {
  const several = (pairs: number): Promise<Bench> => bootNet([MAC, CTRL_VQ, MQ], { pairs }, 64);

  it('are all found, and one is used until another number is asked for', async () => {
    const b = await several(4);
    expect(b.vdev.vqs.map((vq) => vq.name)).toEqual([0, 1, 2, 3].flatMap((n) => [`input.${n}`, `output.${n}`]).concat('control'));
    expect(b.commands.splice(0)).toEqual([[4, 0, 1, 0]]);
    const ops = b.dev!.netdev_ops;
    expect([ops.get_channels!(b.dev!), await queues(b)]).toEqual([{ max_combined: 4, combined_count: 1 }, ['rx-0', 'tx-0']]);
    await b.run(() => ops.set_channels!(b.dev!, 3));
    expect([b.commands, b.dev!.real_num_queues]).toEqual([[[4, 0, 3, 0]], 3]);
    expect(await queues(b)).toEqual(['rx-0', 'rx-1', 'rx-2', 'tx-0', 'tx-1', 'tx-2']);
    await b.run(() => ops.set_channels!(b.dev!, 1));
    expect(await queues(b)).toEqual(['rx-0', 'tx-0']);
  });

  it('receive into buffers of their own, and send each flow by one', async () => {
    const b = await several(2);
    await b.run(() => b.k.dev_open(b.dev!));
    await b.run(() => b.dev!.netdev_ops.set_channels!(b.dev!, 2));
    const taken = b.take(2)!;
    taken.bytes.fill(0, 0, 12);
    await b.give(2, [taken, 12 + 60]);
    expect([b.dev!.stats.rx_packets, b.dev!.stats.rx_bytes]).toEqual([1, 60]);
    const drain = (queue: number): number[] => {
      const flows: number[] = [];
      for (let sent = b.take(queue); sent !== null; sent = b.take(queue)) flows.push(sent.bytes[12 + 11]!);
      return flows;
    };
    await sendFlows(b, 8);
    const first = [drain(1), drain(3)];
    expect(first.flat().toSorted((x, y) => x - y)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(first.every((flows) => flows.length > 0)).toBe(true);
    await sendFlows(b, 8);
    expect([drain(1), drain(3)]).toEqual(first); // as before
    await b.run(() => b.k.unregister_virtio_device(b.vdev));
    expect(b.leftovers().filter((line) => !line.includes('transport'))).toEqual([]);
  });

  it('whose number the device refuses stay as they were', async () => {
    const b = await several(2);
    b.ack = uapi.VIRTIO_NET_ERR;
    await expect(b.run(() => b.dev!.netdev_ops.set_channels!(b.dev!, 2))).rejects.toMatchObject({ errno: 'EINVAL', rule: 'virtio_net.pairs.command' });
    expect([b.dev!.real_num_queues, b.dmesg().at(-1)]).toEqual([1, 'net eth0: Fail to set num of queue pairs to 2']);
    for (const count of [0, 3]) await expect(b.run(() => b.dev!.netdev_ops.set_channels!(b.dev!, count))).rejects.toMatchObject({ rule: 'virtio_net.channels.count' });
  });

  it.each([0, 0x8001])('of which the device has %i are one', async (pairs) => {
    const b = await several(pairs);
    expect([b.dev!.num_queues, b.vdev.vqs.map((vq) => vq.name)]).toEqual([1, ['input.0', 'output.0', 'control']]);
  });
});

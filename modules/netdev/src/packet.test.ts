import type { Process } from '@vdpalab/fs';
import * as uapi from '@vdpalab/uapi';
import { errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { NetDevice } from './header.ts';
import { bootNet, frame, htons, linkAddress, mac } from './testing/kernel.ts';
import type { NetKernel } from './testing/kernel.ts';

const OTHER = '02:00:00:00:00:02';
const OWN = '52:54:00:00:00:0a';

/** A packet socket bound to a device. @param protocol in host byte order */
async function open({ k }: NetKernel, proc: Process, dev: NetDevice, protocol: number = uapi.ETH_P_ALL): Promise<number> {
  const fd = await k.ksys_socket(proc, uapi.AF_PACKET, uapi.SOCK_RAW, 0);
  await k.ksys_bind(proc, fd, linkAddress(dev.ifindex, protocol));
  return fd;
}

/** The next frame: its bytes and its address. */
async function receive({ k }: NetKernel, proc: Process, fd: number, len = 2048, flags: number = uapi.MSG_DONTWAIT) {
  const { bytes, address } = await k.ksys_recvmsg(proc, fd, len, flags);
  return { bytes, from: uapi.sockaddr_ll.decode(address!) };
}

describe('a packet socket', () => {
  it('needs CAP_NET_RAW and the raw type', async () => {
    const kernel = await bootNet();
    const socket = (proc: Process, type: number): Promise<string> => errnoOf(() => kernel.k.ksys_socket(proc, uapi.AF_PACKET, type, 0));
    await kernel.user(async (proc) => expect(await socket(proc, uapi.SOCK_STREAM)).toBe('ESOCKTNOSUPPORT'));
    await kernel.user(async (proc) => expect(await socket(proc, uapi.SOCK_RAW)).toBe('EPERM'), { uid: 1000, caps: [] });
    await kernel.user(async (proc) => expect(await socket(proc, uapi.SOCK_RAW)).toBe('ok'), { uid: 1000, caps: [uapi.CAP_NET_RAW] });
  });

  it('hears what comes in, with where from and what for', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      await kernel.k.dev_open(dev);
      const fd = await open(kernel, proc, dev);
      for (const to of [OWN, OTHER, 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01']) kernel.receive(dev, frame(to, 0x0800));
      kernel.receive(dev, frame(OWN, 0x0026));
      const first = await receive(kernel, proc, fd);
      expect(first.bytes).toEqual(frame(OWN, 0x0800));
      expect(first.from).toEqual({
        sll_family: uapi.AF_PACKET, sll_protocol: 0x0800, sll_ifindex: dev.ifindex, sll_hatype: uapi.ARPHRD_ETHER,
        sll_pkttype: uapi.PACKET_HOST, sll_halen: 6, sll_addr: Uint8Array.of(2, 0, 0, 0, 0, 1, 0, 0),
      });
      const rest = [];
      for (let i = 0; i < 4; i++) rest.push((await receive(kernel, proc, fd)).from);
      expect(rest.map(({ sll_pkttype }) => sll_pkttype)).toEqual([uapi.PACKET_OTHERHOST, uapi.PACKET_BROADCAST, uapi.PACKET_MULTICAST, uapi.PACKET_HOST]);
      expect(rest[3]!.sll_protocol).toBe(uapi.ETH_P_802_2);
      expect(await errnoOf(() => receive(kernel, proc, fd))).toBe('EAGAIN');
    });
    expect(kernel.k.netdev_leftovers()).toEqual(['network device eth0 (registered)']);
  });

  it('hears only its protocol and its interface', async () => {
    const kernel = await bootNet();
    const a = await kernel.device('eth%d');
    const b = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      await kernel.k.dev_open(a.dev);
      const arp = await open(kernel, proc, a.dev, uapi.ETH_P_ARP);
      const all = await kernel.k.ksys_socket(proc, uapi.AF_PACKET, uapi.SOCK_RAW, htons(uapi.ETH_P_ALL));
      const none = await kernel.k.ksys_socket(proc, uapi.AF_PACKET, uapi.SOCK_RAW, 0);
      kernel.receive(a.dev, frame(OWN, uapi.ETH_P_IP));
      kernel.receive(b.dev, frame(OWN, uapi.ETH_P_ARP));
      kernel.receive(a.dev, frame(OWN, uapi.ETH_P_ARP));
      expect((await receive(kernel, proc, arp)).from.sll_ifindex).toBe(a.dev.ifindex);
      expect(await errnoOf(() => receive(kernel, proc, arp))).toBe('EAGAIN');
      const heard = [];
      for (let i = 0; i < 3; i++) heard.push((await receive(kernel, proc, all)).from.sll_ifindex);
      expect(heard).toEqual([a.dev.ifindex, b.dev.ifindex, a.dev.ifindex]);
      expect(await errnoOf(() => receive(kernel, proc, none))).toBe('EAGAIN');
    });
  });

  it('sends whole frames, which others hear leave, and the sender does not', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev, sent } = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      await k.dev_open(dev);
      const sender = await open(kernel, proc, dev);
      const tap = await open(kernel, proc, dev);
      const deaf = await open(kernel, proc, dev);
      await k.ksys_setsockopt(proc, deaf, uapi.SOL_PACKET, uapi.PACKET_IGNORE_OUTGOING, Uint8Array.of(1, 0, 0, 0));
      const ip = await open(kernel, proc, dev, uapi.ETH_P_IP);
      const bytes = frame(OTHER, uapi.ETH_P_IP, 100, OWN);
      expect(await k.ksys_write(proc, sender, bytes)).toBe(100);
      expect(sent).toEqual([bytes]);
      const heard = await receive(kernel, proc, tap);
      expect([heard.bytes, heard.from.sll_pkttype]).toEqual([bytes, uapi.PACKET_OUTGOING]);
      for (const fd of [sender, deaf, ip]) expect(await errnoOf(() => receive(kernel, proc, fd))).toBe('EAGAIN');
      expect(await k.ksys_sendmsg(proc, tap, bytes, linkAddress(dev.ifindex))).toBe(100);
      expect((await receive(kernel, proc, sender)).bytes).toEqual(bytes);
    });
  });

  it('refuses to send nowhere, too little and too much', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev, sent } = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      const fd = await open(kernel, proc, dev);
      const send = (length: number, address: Uint8Array | null = null, protocol = 0x0800): Promise<string> =>
        errnoOf(() => k.ksys_sendmsg(proc, fd, frame(OTHER, protocol, length), address));
      expect(await send(60)).toBe('ENETDOWN');
      await k.dev_open(dev);
      expect([await send(60, linkAddress(99)), await send(60, new Uint8Array(19)), await send(60, new Uint8Array(20)), await send(1515), await send(1518, null, 0x8100)])
        .toEqual(['ENXIO', 'EINVAL', 'EINVAL', 'EMSGSIZE', 'ok']);
      expect(await errnoOf(() => k.ksys_sendmsg(proc, fd, new Uint8Array(13), null))).toBe('EINVAL');
      const unbound = await k.ksys_socket(proc, uapi.AF_PACKET, uapi.SOCK_RAW, 0);
      expect(await errnoOf(() => k.ksys_write(proc, unbound, frame(OTHER, 0x0800)))).toBe('ENXIO');
      const long = uapi.sockaddr_ll.encode({ sll_family: uapi.AF_PACKET, sll_ifindex: 2, sll_halen: 9 });
      expect(await send(60, long)).toBe('EINVAL');
      k.netif_stop_queue(dev);
      for (let i = 0; i < 1000; i++) await send(60);
      expect(await send(60)).toBe('ENOBUFS');
    });
    expect(sent).toHaveLength(1);
  });

  it('is short of memory as a full buffer is', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    dev.max_mtu = 0;
    await kernel.user(async (proc) => {
      await k.dev_open(dev);
      await k.dev_set_mtu(dev, 1 << 30);
      const fd = await open(kernel, proc, dev);
      expect(await errnoOf(() => k.ksys_write(proc, fd, new Uint8Array(32 << 20)))).toBe('ENOBUFS');
    });
  });

  it('is bound to what there is', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    await kernel.user(async (proc) => {
      const fd = await k.ksys_socket(proc, uapi.AF_PACKET, uapi.SOCK_RAW, 0);
      const bind = (address: Uint8Array): Promise<string> => errnoOf(() => k.ksys_bind(proc, fd, address));
      expect([await bind(linkAddress(7)), await bind(new Uint8Array(12)), await bind(new Uint8Array(20)), await bind(linkAddress(0, 3))])
        .toEqual(['ENODEV', 'EINVAL', 'EINVAL', 'ok']);
    });
  });

  it('waits for a frame, and peeks', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    const got: Uint8Array[] = [];
    let fd = -1;
    const proc = await kernel.run(async () => k.process_create('reader'));
    kernel.spawn('reader', async () => {
      await k.dev_open(dev);
      fd = await open(kernel, proc, dev);
      got.push((await receive(kernel, proc, fd, 20, 0)).bytes);
    });
    await kernel.settle();
    expect(got).toEqual([]);
    expect(await kernel.run(() => k.ksys_poll(proc, [{ fd, events: uapi.POLLIN | uapi.POLLOUT }], 0))).toEqual([uapi.POLLOUT]);
    kernel.receive(dev, frame(OWN, 0x0800));
    await kernel.settle();
    expect(got).toEqual([frame(OWN, 0x0800).slice(0, 20)]);
    kernel.receive(dev, frame(OWN, 0x0806));
    expect(await kernel.run(() => k.ksys_poll(proc, [{ fd, events: uapi.POLLIN }], 0))).toEqual([uapi.POLLIN]);
    await kernel.run(async () => {
      const peeked = await receive(kernel, proc, fd, 4, uapi.MSG_PEEK | uapi.MSG_TRUNC);
      expect(peeked.bytes).toHaveLength(60);
      expect((await receive(kernel, proc, fd)).from.sll_protocol).toBe(0x0806);
      expect(await errnoOf(() => receive(kernel, proc, fd, 4, uapi.MSG_WAITALL))).toBe('EINVAL');
      await k.process_exit(proc);
    });
  });

  it('loses frames beyond its buffer, and counts them', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      await k.dev_open(dev);
      const fd = await open(kernel, proc, dev);
      await k.ksys_setsockopt(proc, fd, uapi.SOL_SOCKET, uapi.SO_RCVBUF, Uint8Array.of(0, 0x10, 0, 0)); // 4096, doubled
      for (let i = 0; i < 50; i++) kernel.receive(dev, frame(OWN, 0x0800));
      const file = k.fget(proc, fd);
      const { queued, tp_packets, tp_drops } = file.private_data as { queued: number; tp_packets: number; tp_drops: number };
      expect([queued, tp_packets, tp_drops]).toEqual([10, 50, 40]);
      await k.fput(file);
      expect(k.netdev_leftovers()).toContain('packet socket of test, 40 frames lost');
    });
    expect(k.netdev_leftovers()).toEqual(['network device eth0 (registered)']);
  });

  it('hears of its interface going down, up again, and away', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      const fd = await open(kernel, proc, dev);
      // Bound to an interface that is down.
      expect(await k.ksys_poll(proc, [{ fd, events: uapi.POLLIN }], 0)).toEqual([uapi.POLLERR]);
      expect(await errnoOf(() => receive(kernel, proc, fd))).toBe('ENETDOWN');
      expect(await errnoOf(() => receive(kernel, proc, fd))).toBe('EAGAIN');
      await k.dev_open(dev);
      kernel.receive(dev, frame(OWN, 0x0800));
      expect((await receive(kernel, proc, fd)).bytes).toHaveLength(60);
      await k.dev_close(dev);
      kernel.receive(dev, frame(OWN, 0x0800));
      expect(await errnoOf(() => receive(kernel, proc, fd, 99, 0))).toBe('ENETDOWN');
      await k.dev_open(dev);
      await k.unregister_netdev(dev);
      expect(await errnoOf(() => receive(kernel, proc, fd, 99, 0))).toBe('ENETDOWN');
      expect(await errnoOf(() => k.ksys_write(proc, fd, frame(OWN, 0x0800)))).toBe('ENXIO');
    });
  });

  it('knows its address and its options', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      const fd = await open(kernel, proc, dev, uapi.ETH_P_IP);
      expect(uapi.sockaddr_ll.decode(await k.ksys_getsockname(proc, fd))).toMatchObject({ sll_protocol: uapi.ETH_P_IP, sll_ifindex: 2, sll_halen: 6, sll_addr: Uint8Array.of(...mac(OWN), 0, 0) });
      const set = (level: number, name: number, value: Uint8Array): Promise<string> => errnoOf(() => k.ksys_setsockopt(proc, fd, level, name, value));
      const member = (ifindex: number): Uint8Array => uapi.packet_mreq.encode({ mr_ifindex: ifindex, mr_type: uapi.PACKET_MR_PROMISC });
      expect([
        await set(uapi.SOL_PACKET, uapi.PACKET_ADD_MEMBERSHIP, member(1)), await set(uapi.SOL_PACKET, uapi.PACKET_ADD_MEMBERSHIP, member(9)),
        await set(uapi.SOL_PACKET, uapi.PACKET_ADD_MEMBERSHIP, new Uint8Array(4)), await set(uapi.SOL_SOCKET, uapi.SO_SNDBUF, Uint8Array.of(1, 0, 0, 0)),
        await set(uapi.SOL_PACKET, uapi.PACKET_VNET_HDR, Uint8Array.of(1, 0, 0, 0)), await set(uapi.SOL_SOCKET, uapi.SO_RCVBUF, new Uint8Array(2)),
      ]).toEqual(['ok', 'ENODEV', 'EINVAL', 'ok', 'ENOPROTOOPT', 'EINVAL']);
    });
  });
});

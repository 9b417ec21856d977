import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import * as uapi from '@vdpalab/uapi';
import { ERRNO } from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { answers, bootNet, mac, netlinkMessage, readLink, route } from './testing/kernel.ts';
import type { Answer, NetKernel } from './testing/kernel.ts';

type Fill = (b: uapi.NlaBuilder) => void;

/** `ip link set` as a user: RTM_NEWLINK, acknowledged. */
function set(kernel: NetKernel, proc: Process, head: Partial<uapi.Ifinfomsg>, fill?: Fill): Promise<Answer> {
  return route(kernel, proc, uapi.RTM_NEWLINK, uapi.NLM_F_ACK, head, fill);
}

describe('RTM_GETLINK', () => {
  it('describes one interface, by number or name', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    await kernel.device('lan');
    await kernel.user(async (proc) => {
      for (const [head, fill] of [[{ ifi_index: 2 }, undefined], [{}, (b: uapi.NlaBuilder) => b.putString(uapi.IFLA_IFNAME, 'eth0')]] as const) {
        const { links, error } = await route(kernel, proc, uapi.RTM_GETLINK, 0, head, fill);
        expect([links.length, error]).toEqual([1, null]);
        const { head: info, attrs } = readLink(links[0]!);
        expect(info).toMatchObject({ ifi_family: 0, ifi_type: uapi.ARPHRD_ETHER, ifi_index: dev.ifindex, ifi_flags: 0x1002 });
        expect([
          attrs.string(uapi.IFLA_IFNAME), attrs.u32(uapi.IFLA_MTU), attrs.u32(uapi.IFLA_MIN_MTU), attrs.u32(uapi.IFLA_MAX_MTU), attrs.u32(uapi.IFLA_TXQLEN),
          attrs.u8(uapi.IFLA_OPERSTATE), attrs.u8(uapi.IFLA_CARRIER), attrs.string(uapi.IFLA_QDISC), [...attrs.bytes(uapi.IFLA_ADDRESS)],
        ]).toEqual(['eth0', 1500, 68, 1500, 1000, uapi.IF_OPER_DOWN, 1, 'noop', [...mac('52:54:00:00:00:0a')]]);
      }
    });
  });

  it('names the parent and counts frames', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const bus = { name: 'toy' };
    const parent = await kernel.run(async () => {
      await k.bus_register(bus);
      const made = k.device_initialize({ name: 'toy0', bus });
      await k.device_add(made);
      return made;
    });
    const dev = k.alloc_etherdev('eth%d', {} as never, parent, null);
    await kernel.run(() => k.register_netdev(dev));
    dev.stats.rx_bytes = 2 ** 33;
    await kernel.user(async (proc) => {
      const { attrs } = readLink((await route(kernel, proc, uapi.RTM_GETLINK, 0, { ifi_index: 2 })).links[0]!);
      expect([attrs.string(uapi.IFLA_PARENT_DEV_NAME), attrs.string(uapi.IFLA_PARENT_DEV_BUS_NAME)]).toEqual(['toy0', 'toy']);
      expect(uapi.rtnl_link_stats64.decode(attrs.bytes(uapi.IFLA_STATS64)).rx_bytes).toBe(2n ** 33n);
      const bare = await route(kernel, proc, uapi.RTM_GETLINK, 0, { ifi_index: 2 }, (b) => b.putU32(uapi.IFLA_EXT_MASK, uapi.RTEXT_FILTER_SKIP_STATS));
      expect(readLink(bare.links[0]!).attrs.has(uapi.IFLA_STATS64)).toBe(false);
    });
  });

  it('lists all, to anybody', async () => {
    const kernel = await bootNet();
    await kernel.device('eth%d');
    await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      const { links } = await route(kernel, proc, uapi.RTM_GETLINK, uapi.NLM_F_DUMP, {});
      expect(links.map((link) => readLink(link).attrs.string(uapi.IFLA_IFNAME))).toEqual(['lo', 'eth0', 'eth1']);
      // What tools of old send: one byte.
      const fd = await kernel.k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_ROUTE);
      await kernel.k.ksys_sendmsg(proc, fd, netlinkMessage(uapi.RTM_GETLINK, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, new Uint8Array(1)), null);
      expect((await answers(kernel.k, proc, fd)).links).toHaveLength(3);
      await kernel.k.ksys_close(proc, fd);
    }, { uid: 1000, caps: [] });
  });

  it('finds nothing where there is nothing', async () => {
    const kernel = await bootNet();
    await kernel.user(async (proc) => {
      const get = async (head: Partial<uapi.Ifinfomsg>, fill?: Fill): Promise<number | null> => (await route(kernel, proc, uapi.RTM_GETLINK, 0, head, fill)).error;
      expect(await get({ ifi_index: 9 })).toBe(-ERRNO.ENODEV);
      expect(await get({}, (b) => b.putString(uapi.IFLA_IFNAME, 'eth0'))).toBe(-ERRNO.ENODEV);
      expect(await get({})).toBe(-ERRNO.EINVAL);
      expect(await get({}, (b) => b.putString(uapi.IFLA_IFNAME, 'x'.repeat(16)))).toBe(-ERRNO.ERANGE);
      expect(await get({ ifi_index: 2 }, (b) => b.putU8(uapi.IFLA_EXT_MASK, 1))).toBe(-ERRNO.ERANGE);
    });
  });
});

describe('RTM_NEWLINK', () => {
  it('sets an interface up and down, by the bits of the mask', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      expect(await set(kernel, proc, { ifi_index: 2, ifi_flags: uapi.IFF_UP, ifi_change: uapi.IFF_UP })).toMatchObject({ error: 0 });
      expect(dev.flags & uapi.IFF_UP).toBe(uapi.IFF_UP);
      await set(kernel, proc, { ifi_index: 2, ifi_flags: 0, ifi_change: uapi.IFF_NOARP });
      expect(dev.flags & uapi.IFF_UP).toBe(uapi.IFF_UP);
      const { links } = await route(kernel, proc, uapi.RTM_GETLINK, 0, { ifi_index: 2 });
      expect(readLink(links[0]!).head.ifi_flags).toBe(0x1003 | uapi.IFF_RUNNING | uapi.IFF_LOWER_UP);
      await set(kernel, proc, { ifi_index: 2, ifi_flags: 0, ifi_change: uapi.IFF_UP });
      expect(dev.flags & uapi.IFF_UP).toBe(0);
      await route(kernel, proc, uapi.RTM_SETLINK, uapi.NLM_F_ACK, { ifi_index: 2, ifi_flags: uapi.IFF_UP });
      expect(dev.flags & uapi.IFF_UP).toBe(uapi.IFF_UP);
    });
  });

  it('sets MTU, address and name', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d', { ndo_set_mac_address: async (one, addr) => void k.eth_hw_addr_set(one, addr) });
    kernel.uevents();
    await kernel.user(async (proc) => {
      const answer = await set(kernel, proc, { ifi_index: 2 }, (b) => {
        b.put(uapi.IFLA_ADDRESS, mac('02:00:00:00:00:09'));
        b.putU32(uapi.IFLA_MTU, 1400);
        b.putString(uapi.IFLA_IFNAME, 'lan');
      });
      expect(answer.error).toBe(0);
      expect([dev.name, dev.mtu, [...dev.dev_addr]]).toEqual(['lan', 1400, [2, 0, 0, 0, 0, 9]]);
      expect(kernel.uevents()).toEqual(['move@/devices/virtual/net/lan']);
      expect((await k.ksys_readdir(proc, '/sys/class/net')).map(({ name }) => name)).toEqual(['lan', 'lo']);
      expect(k.dev_get_by_name('eth0')).toBeNull();
      // The name finds it, and is no new one.
      expect((await set(kernel, proc, {}, (b) => [b.putString(uapi.IFLA_IFNAME, 'lan'), b.putU32(uapi.IFLA_MTU, 1300)])).error).toBe(0);
      expect(dev.mtu).toBe(1300);
    });
    await kernel.run(() => k.unregister_netdev(dev));
    k.free_netdev(dev);
    expect(kernel.leftovers()).toEqual([]);
  });

  it('refuses with the reason in an extended acknowledgement', async () => {
    const kernel = await bootNet();
    await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      const mtu = (value: number): Promise<Answer> => set(kernel, proc, { ifi_index: 2 }, (b) => b.putU32(uapi.IFLA_MTU, value));
      expect(await mtu(9000)).toMatchObject({ error: -ERRNO.EINVAL, extack: 'mtu greater than device maximum' });
      expect(await mtu(1)).toMatchObject({ error: -ERRNO.EINVAL, extack: 'mtu less than device minimum' });
      const made = await route(kernel, proc, uapi.RTM_NEWLINK, uapi.NLM_F_ACK | uapi.NLM_F_CREATE, {}, (b) => b.putString(uapi.IFLA_IFNAME, 'br0'));
      expect(made).toMatchObject({ error: -ERRNO.EOPNOTSUPP, extack: 'Unknown device type' });
    });
  });

  it('refuses what cannot be done', async () => {
    const kernel = await bootNet();
    await kernel.device('eth%d');
    await kernel.device('lan');
    await kernel.user(async (proc) => {
      const error = async (type: number, flags: number, head: Partial<uapi.Ifinfomsg>, fill?: Fill): Promise<number | null> =>
        (await route(kernel, proc, type, flags | uapi.NLM_F_ACK, head, fill)).error;
      const one = { ifi_index: 2 };
      expect([
        await error(uapi.RTM_NEWLINK, 0, { ifi_index: 9 }),
        await error(uapi.RTM_NEWLINK, 0, {}, (b) => b.putString(uapi.IFLA_IFNAME, 'nobody')),
        await error(uapi.RTM_NEWLINK, uapi.NLM_F_EXCL, one),
        await error(uapi.RTM_NEWLINK, uapi.NLM_F_REPLACE, one),
        await error(uapi.RTM_SETLINK, 0, {}),
        await error(uapi.RTM_SETLINK, 0, { ifi_index: 9 }),
        await error(uapi.RTM_DELLINK, 0, one),
        await error(uapi.RTM_DELLINK, 0, { ifi_index: 9 }),
        await error(uapi.RTM_GETADDR, 0, {}),
      ]).toEqual([-ERRNO.ENODEV, -ERRNO.ENODEV, -ERRNO.EEXIST, -ERRNO.EOPNOTSUPP, -ERRNO.EINVAL, -ERRNO.ENODEV, -ERRNO.EOPNOTSUPP, -ERRNO.ENODEV, -ERRNO.EOPNOTSUPP]);
      expect([
        await error(uapi.RTM_NEWLINK, 0, one, (b) => b.put(uapi.IFLA_ADDRESS, new Uint8Array(5))),
        await error(uapi.RTM_NEWLINK, 0, one, (b) => b.put(uapi.IFLA_ADDRESS, mac('02:00:00:00:00:01'))),
        await error(uapi.RTM_NEWLINK, 0, one, (b) => b.put(uapi.IFLA_ADDRESS, new Uint8Array(33))),
        await error(uapi.RTM_NEWLINK, 0, one, (b) => b.putU8(uapi.IFLA_CARRIER, 1)),
        await error(uapi.RTM_NEWLINK, 0, one, (b) => b.putString(uapi.IFLA_IFNAME, 'lan')),
        await error(uapi.RTM_NEWLINK, 0, one, (b) => b.putString(uapi.IFLA_IFNAME, 'a b')),
      ]).toEqual([-ERRNO.EINVAL, -ERRNO.EOPNOTSUPP, -ERRNO.ERANGE, -ERRNO.EOPNOTSUPP, -ERRNO.EEXIST, -ERRNO.EINVAL]);
      await set(kernel, proc, { ifi_index: 2, ifi_flags: uapi.IFF_UP, ifi_change: uapi.IFF_UP });
      expect(await error(uapi.RTM_NEWLINK, 0, one, (b) => b.putString(uapi.IFLA_IFNAME, 'new'))).toBe(-ERRNO.EBUSY);
      const fd = await kernel.k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_ROUTE);
      await kernel.k.ksys_sendmsg(proc, fd, netlinkMessage(uapi.RTM_NEWLINK, uapi.NLM_F_REQUEST, new Uint8Array(8)), null);
      expect((await answers(kernel.k, proc, fd)).error).toBe(-ERRNO.EINVAL);
    });
  });

  it('needs CAP_NET_ADMIN', async () => {
    const kernel = await bootNet();
    await kernel.device('eth%d');
    await kernel.user(async (proc) => {
      for (const type of [uapi.RTM_NEWLINK, uapi.RTM_SETLINK, uapi.RTM_DELLINK]) {
        expect((await route(kernel, proc, type, uapi.NLM_F_ACK, { ifi_index: 2 })).error).toBe(-ERRNO.EPERM);
      }
    }, { uid: 0, caps: [] });
  });

  it('keeps what was done before a part fails, with a warning', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d', {
      async ndo_open() {
        throw new KernelError('EIO', 'test.open', 'no');
      },
    });
    await kernel.user(async (proc) => {
      const answer = await set(kernel, proc, { ifi_index: 2, ifi_flags: uapi.IFF_UP, ifi_change: uapi.IFF_UP }, (b) => b.putU32(uapi.IFLA_MTU, 1000));
      expect([answer.error, dev.mtu]).toEqual([-ERRNO.EIO, 1000]);
    });
    expect(kernel.dmesg()).toContain('A link change request failed with some changes committed already. Interface eth0 may have been left with an '
      + 'inconsistent configuration, please check.');
  });
});

describe('addresses of VFs', () => {
  const vfMac = (vf: number, addr: string): Fill => (b) => {
    const list = b.nestStart(uapi.IFLA_VFINFO_LIST);
    const info = b.nestStart(uapi.IFLA_VF_INFO);
    b.put(uapi.IFLA_VF_MAC, uapi.ifla_vf_mac.encode({ vf, mac: mac(addr) }));
    b.nestEnd(info);
    b.nestEnd(list);
  };

  it('are the PF driver\'s to set', async () => {
    const kernel = await bootNet();
    const told: [number, number[]][] = [];
    await kernel.device('pf', { ndo_set_vf_mac: async (_dev, vf, addr) => void told.push([vf, [...addr]]) });
    await kernel.device('plain');
    await kernel.user(async (proc) => {
      expect((await set(kernel, proc, { ifi_index: 2 }, vfMac(3, '02:00:00:00:00:33'))).error).toBe(0);
      expect(told).toEqual([[3, [2, 0, 0, 0, 0, 0x33]]]);
      expect((await set(kernel, proc, { ifi_index: 3 }, vfMac(3, '02:00:00:00:00:33'))).error).toBe(-ERRNO.EOPNOTSUPP);
    });
  });

  it('are refused with what is wrong in them', async () => {
    const kernel = await bootNet();
    await kernel.device('pf', {
      async ndo_set_vf_mac(_dev, vf) {
        if (vf > 3) throw new KernelError('EINVAL', 'test.vf', 'no such VF');
      },
    });
    await kernel.user(async (proc) => {
      const list = (fill: Fill, type: number = uapi.IFLA_VF_INFO): Fill => (b) => {
        const outer = b.nestStart(uapi.IFLA_VFINFO_LIST);
        const inner = b.nestStart(type);
        fill(b);
        b.nestEnd(inner);
        b.nestEnd(outer);
      };
      const error = async (fill: Fill): Promise<number | null> => (await set(kernel, proc, { ifi_index: 2 }, fill)).error;
      expect([
        await error(vfMac(4, '02:00:00:00:00:33')),
        await error(vfMac(0x7fff_ffff, '02:00:00:00:00:33')),
        await error(list(() => undefined)),
        await error(list(() => undefined, 9)),
        await error(list((b) => b.put(uapi.IFLA_VF_MAC, new Uint8Array(8)))),
        await error(list((b) => b.put(uapi.IFLA_VF_VLAN, new Uint8Array(12)))),
      ]).toEqual([-ERRNO.EINVAL, -ERRNO.EINVAL, -ERRNO.EINVAL, -ERRNO.EINVAL, -ERRNO.ERANGE, -ERRNO.EOPNOTSUPP]);
    });
  });
});

describe('RTNLGRP_LINK', () => {
  it('hears of every change, with the flags that changed', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    await kernel.user(async (proc) => {
      const fd = await k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_ROUTE);
      await k.ksys_bind(proc, fd, uapi.sockaddr_nl.encode({ nl_family: uapi.AF_NETLINK, nl_groups: 1 << (uapi.RTNLGRP_LINK - 1) }));
      const dev = k.alloc_etherdev('eth%d', { ndo_open: async () => undefined, ndo_stop: async () => undefined, ndo_start_xmit: () => 'NETDEV_TX_OK' }, null, null);
      await k.register_netdev(dev);
      await k.dev_open(dev);
      await k.dev_set_mtu(dev, 1000);
      await k.unregister_netdev(dev);
      k.free_netdev(dev);
      const heard = (await answers(k, proc, fd)).links.map(readLink);
      expect(heard.map(({ head }) => [head.ifi_change, head.ifi_flags & uapi.IFF_UP])).toEqual([
        [0xffff_ffff, 0], [uapi.IFF_UP | uapi.IFF_RUNNING, 1], [0, 1], [uapi.IFF_UP | uapi.IFF_RUNNING, 0], [0xffff_ffff, 0],
      ]);
    });
  });
});

import { KernelError } from '@vdpalab/abi';
import { IFF_UP, O_RDONLY, O_WRONLY } from '@vdpalab/uapi';
import { errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { bootNet, frame, mac } from './testing/kernel.ts';
import type { NetKernel } from './testing/kernel.ts';

async function cat(kernel: NetKernel, path: string): Promise<string> {
  return await kernel.user(async (proc) =>
    String.fromCharCode(...await kernel.k.ksys_read(proc, await kernel.k.ksys_open(proc, path, O_RDONLY), 4096)));
}

async function echo(kernel: NetKernel, text: string, path: string, as?: { uid: number; caps: number[] }): Promise<string> {
  return await kernel.user((proc) => errnoOf(async () => {
    const fd = await kernel.k.ksys_open(proc, path, O_WRONLY);
    await kernel.k.ksys_write(proc, fd, Uint8Array.from(text, (c) => c.charCodeAt(0)));
  }), as);
}

async function ls(kernel: NetKernel, path: string): Promise<string[]> {
  return await kernel.user(async (proc) => (await kernel.k.ksys_readdir(proc, path)).map(({ name }) => name).toSorted());
}

describe('a network device', () => {
  it('gets the lowest free name, and a number none had before', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const a = await kernel.device('eth%d');
    const b = await kernel.device('eth%d');
    expect([a.dev.name, a.dev.ifindex, b.dev.name, b.dev.ifindex]).toEqual(['eth0', 2, 'eth1', 3]);
    expect([k.dev_get_by_name('eth1'), k.dev_get_by_index(2), k.dev_get_by_name('eth2'), k.dev_get_by_index(9)].map((dev) => dev?.name ?? null))
      .toEqual(['eth1', 'eth0', null, null]);
    await kernel.run(() => k.unregister_netdev(a.dev));
    k.free_netdev(a.dev);
    const c = await kernel.device('eth%d');
    expect([c.dev.name, c.dev.ifindex, k.netdevs().map(({ name }) => name)]).toEqual(['eth0', 4, ['eth1', 'eth0']]);
  });

  it('lies below its parent in net/, is linked from the class, and is announced', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const parent = await kernel.run(async () => {
      const made = k.device_initialize({ name: 'virtio0' });
      await k.device_add(made);
      return made;
    });
    kernel.uevents();
    const dev = k.alloc_etherdev('eth%d', { ndo_open: async () => undefined, ndo_stop: async () => undefined, ndo_start_xmit: () => 'NETDEV_TX_OK' }, parent, 'mine');
    await kernel.run(() => k.register_netdev(dev));
    const eth0 = '/devices/virtio0/net/eth0';
    expect(kernel.uevents()).toEqual([`add@${eth0}`, `add@${eth0}/queues/rx-0`, `add@${eth0}/queues/tx-0`]);
    expect(await cat(kernel, '/sys/class/net/eth0/uevent')).toBe('INTERFACE=eth0\nIFINDEX=2\n');
    expect(await ls(kernel, '/sys/devices/virtio0/net/eth0/queues')).toEqual(['rx-0', 'tx-0']);
    await kernel.user(async (proc) => {
      expect(await k.ksys_readlink(proc, '/sys/class/net/eth0')).toBe('../../devices/virtio0/net/eth0');
      expect(await k.ksys_readlink(proc, '/sys/class/net/eth0/device')).toBe('../../../virtio0');
    });
    expect(dev.priv).toBe('mine');
    await kernel.run(async () => {
      await k.unregister_netdev(dev);
      k.free_netdev(dev);
      await k.device_unregister(parent);
    });
    expect(kernel.uevents().slice(0, 3)).toEqual([`remove@${eth0}/queues/rx-0`, `remove@${eth0}/queues/tx-0`, `remove@${eth0}`]);
    expect(kernel.leftovers()).toEqual([]);
  });

  it('shows its settings in sysfs', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    expect(await ls(kernel, '/sys/class/net/eth0')).toEqual([
      'addr_assign_type', 'addr_len', 'address', 'broadcast', 'carrier', 'carrier_changes', 'carrier_down_count', 'carrier_up_count', 'dev_id',
      'dev_port', 'dormant', 'duplex', 'flags', 'gro_flush_timeout', 'ifalias', 'ifindex', 'iflink', 'link_mode', 'mtu', 'name_assign_type',
      'napi_defer_hard_irqs', 'netdev_group', 'operstate', 'phys_port_id', 'phys_port_name', 'phys_switch_id', 'power', 'proto_down', 'queues', 'speed',
      'statistics', 'subsystem', 'testing', 'threaded', 'tx_queue_len', 'type', 'uevent',
    ]);
    const read = async (...names: string[]): Promise<string[]> => {
      const all = [];
      for (const name of names) all.push((await cat(kernel, `/sys/class/net/eth0/${name}`)).trimEnd());
      return all;
    };
    expect(await read('addr_assign_type', 'addr_len', 'address', 'broadcast', 'flags', 'ifindex', 'mtu', 'operstate', 'tx_queue_len', 'type'))
      .toEqual(['0', '6', '52:54:00:00:00:0a', 'ff:ff:ff:ff:ff:ff', '0x1002', '2', '1500', 'down', '1000', '1']);
    expect(await errnoOf(() => cat(kernel, '/sys/class/net/eth0/carrier'))).toBe('EINVAL');
    dev.stats.rx_packets = 7;
    dev.stats.tx_dropped = 3;
    expect(await read('statistics/rx_packets', 'statistics/tx_dropped', 'statistics/multicast')).toEqual(['7', '3', '0']);
    expect(await ls(kernel, '/sys/class/net/eth0/statistics')).toHaveLength(24);
    await kernel.run(() => kernel.k.dev_open(dev));
    expect(await read('flags', 'carrier', 'operstate')).toEqual(['0x1003', '1', 'unknown']);
    expect(await errnoOf(() => cat(kernel, '/sys/class/net/eth0/speed'))).toBe('EINVAL');
  });

  it('is changed through sysfs by who may', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    const file = (name: string): string => `/sys/class/net/eth0/${name}`;
    expect(await echo(kernel, '1400\n', file('mtu'))).toBe('ok');
    expect(await echo(kernel, '0x500', file('mtu'))).toBe('ok');
    expect(dev.mtu).toBe(0x500);
    expect([await echo(kernel, '67', file('mtu')), await echo(kernel, '1501', file('mtu')), await echo(kernel, 'x', file('mtu'))]).toEqual(['EINVAL', 'EINVAL', 'EINVAL']);
    expect(kernel.dmesg().slice(-2)).toEqual(['eth0: mtu less than device minimum', 'eth0: mtu greater than device maximum']);
    expect(await echo(kernel, '1400', file('mtu'), { uid: 0, caps: [] })).toBe('EPERM');
    expect(await echo(kernel, '0x1003', file('flags'))).toBe('ok');
    expect(dev.flags & IFF_UP).toBe(IFF_UP);
    expect(await echo(kernel, '0x1002', file('flags'))).toBe('ok');
    expect(dev.flags & IFF_UP).toBe(0);
    expect(await echo(kernel, '1', file('carrier'))).toBe('EOPNOTSUPP');
  });

  it('refuses a name that is taken or cannot be one', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    await kernel.device('lan');
    const dev = k.alloc_etherdev('lan', {} as never, null, null);
    expect(await kernel.run(() => errnoOf(() => k.register_netdev(dev)))).toBe('EEXIST');
    expect(await errnoOf(() => k.alloc_etherdev('a/b', {} as never, null, null))).toBe('EINVAL');
    expect(k.netdevs()).toHaveLength(1);
    expect(k.netdev_leftovers()).toEqual(['network device lan (registered)', 'network device lan (uninitialized)']);
    k.free_netdev(dev);
    expect(() => k.free_netdev(dev)).toThrow('freed twice');
    expect(() => k.free_netdev(k.netdevs()[0]!)).toThrow('freed while registered');
  });

  it('leaves nothing when it cannot be registered, wherever that fails', async () => {
    let left = 0;
    const kernel = await bootNet({
      wrap: (symbol, value, importer) => (!['netdev', 'driver_core'].includes(importer) || !/^(kernfs_create_|device_add)/.test(symbol) ? value : (...args: unknown[]) => {
        if (left > 0 && --left === 0) throw new KernelError('ENOMEM', 'test.injected', symbol);
        return (value as (...args: unknown[]) => unknown)(...args);
      }),
    });
    const { k } = kernel;
    const { dev } = await kernel.device('first');
    let failures = 0;
    for (let n = 1; ; n++) {
      const made = k.alloc_etherdev('eth%d', dev.netdev_ops, null, null);
      left = n;
      const errno = await kernel.run(() => errnoOf(() => k.register_netdev(made)));
      const fired = left === 0;
      left = 0;
      expect(errno).toBe(fired ? 'ENOMEM' : 'ok');
      if (!fired) {
        await kernel.run(() => k.unregister_netdev(made));
        k.free_netdev(made);
        break;
      }
      failures++;
      expect([k.netdevs().map(({ name }) => name), await ls(kernel, '/sys/class/net'), made.name]).toEqual([['first'], ['first', 'lo'], 'eth%d']);
      k.free_netdev(made);
    }
    expect(failures).toBeGreaterThan(40);
    await kernel.run(() => k.unregister_netdev(dev));
    k.free_netdev(dev);
    expect([await ls(kernel, '/sys/class/net'), kernel.leftovers()]).toEqual([['lo'], []]);
  });
});

describe('up and down', () => {
  it('open and stop the driver once each', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const log: string[] = [];
    const { dev } = await kernel.device('eth%d', { ndo_open: async () => void log.push('open'), ndo_stop: async () => void log.push('stop') });
    await kernel.run(async () => {
      await k.dev_open(dev);
      await k.dev_open(dev);
      await k.dev_close(dev);
      await k.dev_close(dev);
      await k.dev_open(dev);
      await k.unregister_netdev(dev);
    });
    expect(log).toEqual(['open', 'stop', 'open', 'stop']);
    expect(await kernel.run(() => errnoOf(() => k.dev_open(dev)))).toBe('ENODEV');
  });

  it('fail as the driver does, and leave the device down', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d', {
      async ndo_open() {
        throw new KernelError('EIO', 'test.open', 'no');
      },
    });
    expect(await kernel.run(() => errnoOf(() => kernel.k.dev_open(dev)))).toBe('EIO');
    expect(dev.flags & IFF_UP).toBe(0);
  });
});

describe('settings', () => {
  it('of the MTU stay in the device\'s range', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const told: number[] = [];
    const { dev } = await kernel.device('eth%d', { ndo_change_mtu: async (_dev, mtu) => void told.push(mtu) });
    const set = (mtu: number): Promise<unknown> => kernel.run(() => k.dev_set_mtu(dev, mtu).then(() => 'ok', (error: KernelError) => [error.errno, error.extack]));
    expect(await set(67)).toEqual(['EINVAL', 'mtu less than device minimum']);
    expect(await set(1501)).toEqual(['EINVAL', 'mtu greater than device maximum']);
    expect([await set(1500), await set(68), dev.mtu, told]).toEqual(['ok', 'ok', 68, [68]]);
    dev.max_mtu = 0;
    expect(await set(60_000)).toBe('ok');
  });

  it('of the address need a driver that takes them, and a unicast address', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const fixed = await kernel.device('fixed');
    const { dev } = await kernel.device('eth%d', { ndo_set_mac_address: async (one, addr) => void k.eth_hw_addr_set(one, addr) });
    const set = (one: typeof dev, addr: string): Promise<string> => kernel.run(() => errnoOf(() => k.dev_set_mac_address(one, mac(addr))));
    expect(await set(fixed.dev, '02:00:00:00:00:01')).toBe('EOPNOTSUPP');
    expect([await set(dev, '01:00:00:00:00:01'), await set(dev, '00:00:00:00:00:00'), await set(dev, '02:00:00')]).toEqual(['EADDRNOTAVAIL', 'EADDRNOTAVAIL', 'EADDRNOTAVAIL']);
    expect([await set(dev, '02:00:00:00:00:01'), [...dev.dev_addr], dev.addr_assign_type]).toEqual(['ok', [2, 0, 0, 0, 0, 1], 3]);
    k.eth_hw_addr_random(dev);
    expect([dev.dev_addr[0]! & 3, dev.addr_assign_type]).toEqual([2, 1]);
  });
});

describe('the carrier', () => {
  it('makes the state of the link, told in a while', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev, sent } = await kernel.device('eth%d');
    await kernel.run(() => k.dev_open(dev));
    k.netif_carrier_off(dev);
    k.netif_carrier_off(dev);
    await kernel.settle();
    expect([await cat(kernel, '/sys/class/net/eth0/operstate'), await cat(kernel, '/sys/class/net/eth0/carrier')]).toEqual(['down\n', '0\n']);
    const skb = k.alloc_skb(60, 0);
    skb.dev = dev;
    k.dev_queue_xmit(skb); // taken, and never sent
    k.netif_carrier_on(dev);
    await kernel.settle();
    expect([await cat(kernel, '/sys/class/net/eth0/operstate'), await cat(kernel, '/sys/class/net/eth0/carrier_changes'), sent]).toEqual(['up\n', '2\n', []]);
  });

  it('that a driver takes for off before it looks is up, and one it never told of is not known', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    await kernel.run(() => kernel.k.dev_open(dev));
    kernel.k.netif_carrier_on(dev);
    await kernel.settle();
    expect(await cat(kernel, '/sys/class/net/eth0/operstate')).toBe('unknown\n');
    kernel.k.netif_carrier_off(dev);
    kernel.k.netif_carrier_on(dev);
    await kernel.settle();
    expect(await cat(kernel, '/sys/class/net/eth0/operstate')).toBe('up\n');
  });

  it('of a device that went meanwhile is told to nobody', async () => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    await kernel.run(async () => {
      kernel.k.netif_carrier_off(dev);
      await kernel.k.unregister_netdev(dev);
    });
    await kernel.settle();
    kernel.receive(dev, frame('ff:ff:ff:ff:ff:ff', 0x0800));
    kernel.k.netdev_info(dev, 'gone');
    expect(kernel.dmesg()).toContain('eth0 (uninitialized): gone');
  });
});

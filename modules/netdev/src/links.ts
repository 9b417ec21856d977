/** Registration and settings of interfaces. Mirrors `net/core/dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Machine } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { FsSymbols } from '@vdpalab/fs';
import { IFF_UP } from '@vdpalab/uapi';
import { NET_ADDR_PERM, NET_ADDR_RANDOM, NET_ADDR_SET, type EtherDevice } from './device.ts';
import type { LinkActions } from './rtnetlink.ts';

type Kernel = { readonly machine: Machine } & Pick<DriverCoreSymbols, 'device_add' | 'device_del' | 'put_device' | 'kobject_uevent'> & Pick<FsSymbols, 'capable' | 'kernfs_rename'>;

/** What registration does besides. */
export interface LinkHooks {
  /** Registered interfaces, by index. */
  readonly devices: EtherDevice[];
  /** Tell listeners of a change. @param change IFF_* that changed */
  readonly announce: (dev: EtherDevice, change: number) => Atomic;
  readonly gone: (dev: EtherDevice) => Atomic;
  readonly dropQueue: (dev: EtherDevice) => Atomic;
  readonly deviceOf: (dev: EtherDevice, name: string) => Device;
  readonly remember: (device: Device, dev: EtherDevice) => Atomic;
}

/** Everything that can be done to a link. */
export interface Links extends Omit<LinkActions, 'devices'> {
  readonly devices: () => readonly EtherDevice[];
  readonly register: (dev: EtherDevice) => Promise<void>;
  readonly unregister: (dev: EtherDevice) => Promise<void>;
  readonly hwAddr: (dev: EtherDevice, addr: Uint8Array) => Atomic;
  readonly randomAddr: (dev: EtherDevice) => Atomic;
  readonly setCarrier: (dev: EtherDevice, on: boolean) => Atomic;
  /** @throws EINVAL for text that is no number */
  readonly parseNumber: (text: string) => number;
}

/** Make the links of one kernel. */
export function createLinks(k: Kernel, hooks: LinkHooks): Links {
  const { devices } = hooks;

  /** `eth%d`: the lowest free number. @throws EEXIST EINVAL */
  function chooseName(pattern: string): string {
    if (!pattern.includes('%d')) return checkName(pattern);
    for (let n = 0; ; n++) {
      const name = pattern.replace('%d', String(n));
      if (!devices.some((d) => d.name === name)) return name;
    }
  }

  function checkName(name: string): string {
    if (!/^[^\s/:]{1,15}$/.test(name) || name === '.' || name === '..') throw new KernelError('EINVAL', 'netdev.name', `"${name}" is no interface name`);
    if (devices.some((d) => d.name === name)) throw new KernelError('EEXIST', 'netdev.name.taken', `${name}: the name is taken`);
    return name;
  }

  function freeIndex(): number {
    let n = 1;
    while (devices.some((d) => d.ifindex === n)) n++;
    return n;
  }

  async function setUp(dev: EtherDevice, up: boolean): Promise<void> {
    if (up === dev.up) return;
    if (up) {
      await dev.netdev_ops.ndo_open(dev);
      dev.flags |= IFF_UP;
      dev.queue_stopped = false;
    } else {
      dev.flags &= ~IFF_UP;
      await dev.netdev_ops.ndo_stop(dev);
      hooks.dropQueue(dev);
    }
    hooks.announce(dev, IFF_UP);
  }

  return {
    devices: () => devices,
    setUp,

    async register(dev) {
      dev.name = chooseName(dev.name);
      dev.ifindex = freeIndex();
      dev.dev = hooks.deviceOf(dev, dev.name);
      hooks.remember(dev.dev, dev);
      devices.push(dev);
      try {
        await k.device_add(dev.dev);
      } catch (error) {
        devices.splice(devices.indexOf(dev), 1);
        k.put_device(dev.dev);
        throw error;
      }
      dev.registered = true;
      hooks.announce(dev, 0xffff_ffff);
    },

    async unregister(dev) {
      await setUp(dev, false);
      devices.splice(devices.indexOf(dev), 1);
      dev.registered = false;
      hooks.gone(dev);
      await k.device_del(dev.dev);
      k.put_device(dev.dev);
    },

    async setMtu(dev, mtu) {
      if (mtu === dev.mtu) return;
      const refuse = (text: string): never => {
        throw new KernelError('EINVAL', 'netdev.mtu', `${dev.name}: MTU ${mtu}: ${text} (${dev.min_mtu} to ${dev.max_mtu})`, { extack: text });
      };
      if (mtu < dev.min_mtu) refuse('mtu less than device minimum');
      if (dev.max_mtu > 0 && mtu > dev.max_mtu) refuse('mtu greater than device maximum');
      await dev.netdev_ops.ndo_change_mtu?.(dev, mtu);
      dev.mtu = mtu;
      hooks.announce(dev, 0);
    },

    async setAddress(dev, addr) {
      const op = dev.netdev_ops.ndo_set_mac_address;
      if (op === undefined) throw new KernelError('EOPNOTSUPP', 'netdev.address.op', `${dev.name}: the driver sets no address`);
      if (((addr[0] ?? 0) & 1) !== 0 || addr.every((b) => b === 0)) {
        throw new KernelError('EADDRNOTAVAIL', 'netdev.address.invalid', `${dev.name}: no unicast address`);
      }
      await op(dev, addr);
      dev.addr_assign_type = NET_ADDR_SET;
      hooks.announce(dev, 0);
    },

    async rename(dev, name) {
      if (dev.up) throw new KernelError('EBUSY', 'netdev.rename.up', `${dev.name}: the interface is up`);
      const next = chooseName(name);
      if (dev.dev.sd !== null) k.kernfs_rename(dev.dev.sd, next);
      dev.name = next;
      dev.dev.name = next;
      k.kobject_uevent(dev.dev, 'move');
      hooks.announce(dev, 0);
    },

    hwAddr(dev, addr) {
      dev.dev_addr = addr.slice(0, 6);
      dev.addr_assign_type = NET_ADDR_PERM;
      return undefined;
    },

    randomAddr(dev) {
      const addr = Uint8Array.from({ length: 6 }, () => Math.floor(k.machine.sched.random() * 256));
      addr[0] = ((addr[0] as number) & 0xfe) | 0x02; // unicast, locally administered
      dev.dev_addr = addr;
      dev.addr_assign_type = NET_ADDR_RANDOM;
      return undefined;
    },

    setCarrier(dev, on) {
      if (dev.carrier === on) return undefined;
      dev.carrier = on;
      return dev.registered ? hooks.announce(dev, 0) : undefined;
    },

    parseNumber(text) {
      const m = /^(0x[0-9a-f]+|\d+)\n?$/i.exec(text);
      if (m === null) throw new KernelError('EINVAL', 'netdev.number', `"${text.trim()}" is no number`);
      return Number(m[1]);
    },
  };
}

/** The network devices of one kernel, and the lock over them. Mirrors `net/core/{dev,rtnetlink}.c` (Linux 6.1). */
import type { Class, Device } from '@vdpalab/driver-core';
import type { Mutex } from '@vdpalab/sched';
import type { Kernel } from './kernel.ts';
import type { NetDev } from './net-device.ts';
import type { PacketSockets } from './packet-socket.ts';
import type { Skbs } from './skb.ts';

/** What the parts of the module share. */
export interface NetWorld {
  readonly k: Kernel;
  readonly cls: Class;
  readonly skbs: Skbs;
  readonly sockets: PacketSockets;
  readonly devices: DeviceTable;
  /** Devices that are allocated, by their device. */
  readonly byDevice: Map<Device, NetDev>;
  /** `rtnl_mutex` */
  readonly rtnl: Mutex;
  /** Tell RTNLGRP_LINK of a device. @param change IFF_* that changed; all ones for a new one */
  readonly notify: (dev: NetDev, change: number, gone?: boolean) => undefined;
}

/** Registered devices. */
export class DeviceTable {
  private readonly byIndex = new Map<number, NetDev>();
  private readonly byName = new Map<string, NetDev>();
  private lastIndex = 0;

  /** In the order of registration. */
  list(): NetDev[] {
    return [...this.byIndex.values()];
  }

  index(ifindex: number): NetDev | null {
    return this.byIndex.get(ifindex) ?? null;
  }

  name(name: string): NetDev | null {
    return this.byName.get(name) ?? null;
  }

  /** A number that no device had before; the first one is the loopback device's. */
  newIndex(): number {
    return ++this.lastIndex;
  }

  add(dev: NetDev): undefined {
    this.byIndex.set(dev.ifindex, dev);
    this.byName.set(dev.name, dev);
  }

  remove(dev: NetDev): undefined {
    this.byIndex.delete(dev.ifindex);
    this.byName.delete(dev.name);
  }

  rename(dev: NetDev, name: string): undefined {
    this.byName.delete(dev.name);
    dev.name = name;
    this.byName.set(name, dev);
  }
}

/** Run with the lock that everything about devices is done under. */
export async function withRtnl<T>({ k, rtnl }: Pick<NetWorld, 'k' | 'rtnl'>, body: () => Promise<T>): Promise<T> {
  await k.mutex_lock(rtnl, 'rtnl_lock');
  try {
    return await body();
  } finally {
    k.mutex_unlock(rtnl);
  }
}

/** Changes of a device; callers hold the rtnl lock. Mirrors `net/core/dev.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import {
  ETH_ALEN, IFF_ALLMULTI, IFF_DEBUG, IFF_DYNAMIC, IFF_LOWER_UP, IFF_MULTICAST, IFF_NOARP, IFF_NOTRAILERS, IFF_PORTSEL,
  IFF_PROMISC, IFF_RUNNING, IFF_UP, IF_OPER_UNKNOWN, IF_OPER_UP,
} from '@vdpalab/uapi';
import { logName, NET_ADDR_SET, NET_NAME_RENAMED } from './net-device.ts';
import type { NetDev } from './net-device.ts';
import { chooseName } from './names.ts';
import type { NetWorld } from './table.ts';

const KERN_ERR = 3;
const KERN_INFO = 6;
/** Flags user space may set besides IFF_UP. */
const SETTABLE = IFF_DEBUG | IFF_NOTRAILERS | IFF_NOARP | IFF_DYNAMIC | IFF_MULTICAST | IFF_PORTSEL | IFF_PROMISC | IFF_ALLMULTI;

/** Whether it is up. */
export function isRunning(dev: NetDev): boolean {
  return (dev.flags & IFF_UP) !== 0;
}

/** Flags as user space sees them: with the state of the link. @see `dev_get_flags` */
export function userFlags(dev: NetDev): number {
  let flags = dev.flags & ~(IFF_RUNNING | IFF_LOWER_UP);
  if (!isRunning(dev)) return flags;
  if (dev.operstate === IF_OPER_UP || dev.operstate === IF_OPER_UNKNOWN) flags |= IFF_RUNNING;
  return dev.carrier ? flags | IFF_LOWER_UP : flags;
}

/** Up; nothing when it is. @throws what the driver's open does @see `dev_open`, `__dev_open` */
export async function openDevice(world: NetWorld, dev: NetDev): Promise<void> {
  if (isRunning(dev)) return;
  if (dev.reg_state !== 'registered') throw new KernelError('ENODEV', 'netdev.open.gone', `${dev.name}: not registered`);
  await dev.netdev_ops.ndo_open(dev);
  dev.flags |= IFF_UP;
  await dev.netdev_ops.ndo_set_rx_mode?.(dev);
  world.sockets.notify(dev, 'up');
  world.notify(dev, IFF_UP | IFF_RUNNING);
}

/** Down; nothing when it is. @see `dev_close`, `__dev_close_many` */
export async function closeDevice(world: NetWorld, dev: NetDev): Promise<void> {
  if (!isRunning(dev)) return;
  dev.flags &= ~IFF_UP; // from here on it takes no frame
  dev.qdisc.flush();
  await dev.netdev_ops.ndo_stop(dev);
  world.sockets.notify(dev, 'down');
  world.notify(dev, IFF_UP | IFF_RUNNING);
}

/** @throws EINVAL with an extack out of the device's range; what the driver says @see `dev_set_mtu_ext` */
export async function setMtuExt(world: NetWorld, dev: NetDev, mtu: number): Promise<void> {
  if (mtu === dev.mtu) return;
  const refuse = (extack: string, limit: number): never => {
    throw new KernelError('EINVAL', 'netdev.mtu.range', `${dev.name}: MTU ${mtu}, limit ${limit}`, { extack });
  };
  if (mtu < dev.min_mtu) refuse('mtu less than device minimum', dev.min_mtu);
  if (dev.max_mtu > 0 && mtu > dev.max_mtu) refuse('mtu greater than device maximum', dev.max_mtu);
  await dev.netdev_ops.ndo_change_mtu?.(dev, mtu);
  dev.mtu = mtu;
  world.notify(dev, 0);
}

/** As {@link setMtuExt} for whoever has no use for an extack: the log has its text. @see `dev_set_mtu` */
export async function setMtu(world: NetWorld, dev: NetDev, mtu: number): Promise<void> {
  try {
    await setMtuExt(world, dev, mtu);
  } catch (error) {
    if (isKernelError(error) && error.extack !== undefined) world.k._printk(KERN_ERR, `${dev.name}: ${error.extack}`);
    throw error;
  }
}

/**
 * @throws EOPNOTSUPP when the driver takes none
 * @throws EADDRNOTAVAIL for a multicast address or zeros; what the driver says
 * @see `dev_set_mac_address`, `eth_prepare_mac_addr_change`
 */
export async function setMacAddress(world: NetWorld, dev: NetDev, addr: Uint8Array): Promise<void> {
  const set = dev.netdev_ops.ndo_set_mac_address;
  if (set === undefined) throw new KernelError('EOPNOTSUPP', 'netdev.mac.fixed', `${dev.name}: its driver sets no address`);
  const mac = addr.slice(0, ETH_ALEN);
  if (mac.length < ETH_ALEN || (mac[0]! & 1) !== 0 || mac.every((byte) => byte === 0)) {
    throw new KernelError('EADDRNOTAVAIL', 'netdev.mac.invalid', `${dev.name}: ${mac.length} bytes that are no unicast address`);
  }
  await set(dev, mac);
  dev.addr_assign_type = NET_ADDR_SET;
  world.notify(dev, 0);
}

/** @throws EBUSY while up; EINVAL EEXIST ENFILE @see `dev_change_name` */
export function changeName(world: NetWorld, dev: NetDev, wanted: string): undefined {
  if (isRunning(dev)) throw new KernelError('EBUSY', 'netdev.name.up', `${dev.name} is up`);
  if (wanted === dev.name) return;
  const name = chooseName(wanted, (one) => world.devices.name(one) !== null);
  const old = dev.name;
  world.devices.rename(dev, name); // first: the uevent tells the new name
  try {
    world.k.device_rename(dev.dev, name);
  } catch (error) {
    world.devices.rename(dev, old);
    throw error;
  }
  dev.name_assign_type = NET_NAME_RENAMED;
  world.k._printk(KERN_INFO, `${logName(dev)}: renamed from ${old}`);
  world.notify(dev, 0);
}

/** Up or down, and what else the flags say. @see `dev_change_flags` */
export async function changeFlags(world: NetWorld, dev: NetDev, flags: number): Promise<void> {
  const before = dev.flags;
  dev.flags = (dev.flags & ~SETTABLE) | (flags & SETTABLE);
  if (isRunning(dev) && ((before ^ dev.flags) & (IFF_PROMISC | IFF_ALLMULTI)) !== 0) await dev.netdev_ops.ndo_set_rx_mode?.(dev);
  if (((before ^ flags) & IFF_UP) !== 0) {
    if ((flags & IFF_UP) !== 0) await openDevice(world, dev);
    else await closeDevice(world, dev);
  }
  if (((before ^ dev.flags) & IFF_PROMISC) !== 0) {
    world.k._printk(KERN_INFO, `device ${dev.name} ${(dev.flags & IFF_PROMISC) === 0 ? 'left' : 'entered'} promiscuous mode`);
  }
  const changed = (before ^ dev.flags) & ~IFF_UP;
  if (changed !== 0) world.notify(dev, changed);
}

/** Let frames of a VLAN in; the driver hears of it the first time. @see net/8021q/vlan_core.c `vlan_vid_add` */
export async function addVid(dev: NetDev, vid: number): Promise<void> {
  const users = dev.vids.get(vid) ?? 0;
  if (users === 0) await dev.netdev_ops.ndo_vlan_rx_add_vid?.(dev, vid);
  dev.vids.set(vid, users + 1);
}

/** The other way round; the driver hears of it the last time. @see net/8021q/vlan_core.c `vlan_vid_del` */
export async function delVid(dev: NetDev, vid: number): Promise<void> {
  const users = dev.vids.get(vid);
  if (users === undefined) return;
  if (users > 1) {
    dev.vids.set(vid, users - 1);
    return;
  }
  dev.vids.delete(vid);
  await dev.netdev_ops.ndo_vlan_rx_kill_vid?.(dev, vid);
}

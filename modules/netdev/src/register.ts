/** Devices come and go. Mirrors `net/core/dev.c` (Linux 6.1): `alloc_etherdev`, `register_netdev`, `unregister_netdev`. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import { ETH_ALEN } from '@vdpalab/uapi';
import type { Carrier } from './carrier.ts';
import type { NetDevice, NetdevSymbols } from './header.ts';
import { closeDevice } from './link.ts';
import { chooseName, isValidName } from './names.ts';
import { NET_ADDR_PERM, NET_ADDR_RANDOM, NetDev } from './net-device.ts';
import { Qdisc } from './qdisc.ts';
import { QueueDirectories } from './queues.ts';
import { withRtnl } from './table.ts';
import type { NetWorld } from './table.ts';

type RegisterSymbols = Pick<NetdevSymbols,
  'alloc_etherdev' | 'alloc_etherdev_mqs' | 'free_netdev' | 'register_netdev' | 'register_netdevice' | 'unregister_netdev' | 'netif_set_real_num_queues'
  | 'eth_hw_addr_set' | 'eth_hw_addr_random'>;

/** Make the symbols. @param own the device behind a handle */
export function createRegister(
  world: NetWorld, carrier: Carrier, own: (dev: NetDevice) => NetDev,
): RegisterSymbols & { readonly leftovers: () => readonly NetDev[] } {
  const { k, devices, skbs, sockets } = world;
  const { sched } = k.machine;
  const alive = new Set<NetDev>();
  const queueDirs = new Map<NetDev, QueueDirectories>();
  const qdiscDeps = { sched, skbs, tap: sockets.outgoing.bind(sockets) };

  /** What fails leaves the device as it was. @see `register_netdevice` */
  async function register(dev: NetDev): Promise<void> {
    const pattern = dev.name;
    dev.name = chooseName(pattern, (name) => devices.name(name) !== null);
    dev.dev.name = dev.name;
    dev.ifindex = devices.newIndex();
    if (dev.addr_assign_type === NET_ADDR_PERM) dev.perm_addr = dev.dev_addr.slice();
    carrier.init(dev);
    // On the list first: the files of the device show what the list says.
    devices.add(dev);
    dev.reg_state = 'registered';
    try {
      await k.device_add(dev.dev);
      try {
        queueDirs.set(dev, new QueueDirectories(k, dev));
      } catch (error) {
        await k.device_del(dev.dev);
        throw error;
      }
    } catch (error) {
      devices.remove(dev);
      dev.reg_state = 'uninitialized';
      dev.name = pattern;
      throw error;
    }
    world.notify(dev, 0xffff_ffff);
  }

  /** @see `unregister_netdevice_many` */
  async function unregister(dev: NetDev): Promise<void> {
    await closeDevice(world, dev);
    dev.reg_state = 'unregistering';
    devices.remove(dev);
    sockets.notify(dev, 'unregister');
    world.notify(dev, 0xffff_ffff, true);
    queueDirs.get(dev)?.remove();
    queueDirs.delete(dev);
    await k.device_del(dev.dev);
    dev.reg_state = 'uninitialized';
    if (devices.list().length === 1) skbs.drain(); // the loopback device is left
  }

  const alloc: RegisterSymbols['alloc_etherdev_mqs'] = (pattern, ops, parent, priv, queues) => {
    if (!isValidName(pattern)) throw new KernelError('EINVAL', 'netdev.name.invalid', `${JSON.stringify(pattern)} is no interface name`);
    if (queues < 1) throw new Error(`${pattern}: an interface of ${queues} queues`);
    const dev = new NetDev(pattern, ops, priv, queues);
    dev.qdisc = new Qdisc(dev, qdiscDeps);
    dev.dev = k.device_initialize({ name: pattern, parent, class: world.cls });
    alive.add(dev);
    world.byDevice.set(dev.dev, dev);
    return dev;
  };

  return {
    leftovers: () => [...alive],
    alloc_etherdev: (pattern, ops, parent, priv) => alloc(pattern, ops, parent, priv, 1),
    alloc_etherdev_mqs: alloc,
    free_netdev(handle) {
      const dev = own(handle);
      if (dev.reg_state !== 'uninitialized') throw new Error(`${dev.name}: freed while ${dev.reg_state}`);
      if (!alive.delete(dev)) throw new Error(`${dev.name}: freed twice`);
      world.byDevice.delete(dev.dev);
      return k.put_device(dev.dev);
    },
    register_netdev: (handle) => withRtnl(world, () => register(own(handle))),
    register_netdevice: (handle) => register(own(handle)),
    netif_set_real_num_queues(handle, queues): Atomic {
      const dev = own(handle);
      if (queues < 1 || queues > dev.num_queues) throw new KernelError('EINVAL', 'netdev.queues.count', `${dev.name}: ${queues} queues, 1 to ${dev.num_queues}`);
      dev.real_num_queues = queues;
      return queueDirs.get(dev)?.update();
    },
    unregister_netdev: (handle) => withRtnl(world, () => unregister(own(handle))),
    eth_hw_addr_set(handle, addr): Atomic {
      own(handle).dev_addr = addr.slice(0, ETH_ALEN);
    },
    eth_hw_addr_random(handle): Atomic {
      const dev = own(handle);
      const addr = Uint8Array.from({ length: ETH_ALEN }, () => Math.floor(sched.random() * 256));
      addr[0] = (addr[0]! & 0xfe) | 0x02; // unicast, locally administered
      dev.dev_addr = addr;
      dev.addr_assign_type = NET_ADDR_RANDOM;
    },
  };
}

/** The parts of the module, put together. */
import type { AttributeGroup, Device } from '@vdpalab/driver-core';
import { packetFamily } from './af-packet.ts';
import { createCarrier } from './carrier.ts';
import { ethtoolFamily } from './ethtool.ts';
import type { NetDevice, NetdevSymbols } from './header.ts';
import type { Kernel } from './kernel.ts';
import { addVid, closeDevice, delVid, openDevice, setMacAddress, setMtu } from './link.ts';
import { registerLoopback } from './loopback.ts';
import { createNapi } from './napi.ts';
import { logName, NetDev } from './net-device.ts';
import { PacketSockets } from './packet-socket.ts';
import { createRegister } from './register.ts';
import { notifyLink, routeSocket } from './rtnetlink.ts';
import { createSkbs } from './skb.ts';
import { deviceGroups, ueventLines } from './sysfs.ts';
import { DeviceTable, withRtnl } from './table.ts';
import type { NetWorld } from './table.ts';

const KERN_INFO = 6;

/** Register the class, the socket family and the netlink protocol, and make the symbols. */
export async function createNet(k: Kernel): Promise<NetdevSymbols> {
  const skbs = createSkbs(k);
  const groups: AttributeGroup<Device>[] = [];
  const byDevice = new Map<Device, NetDev>();
  const world: NetWorld = {
    k, skbs, byDevice,
    cls: {
      name: 'net', dev_groups: groups,
      dev_uevent(dev) {
        const found = byDevice.get(dev);
        return found === undefined ? [] : ueventLines(found);
      },
    },
    sockets: new PacketSockets(skbs, k),
    devices: new DeviceTable(),
    rtnl: k.mutex_init('rtnl_mutex'),
    notify: (dev, change, gone = false) => notifyLink({ k }, dev, change, gone),
  };
  groups.push(...deviceGroups(world));
  const { devices, sockets } = world;
  k.class_register(world.cls);
  k.sock_register(packetFamily({ k, sockets, skbs, deviceByIndex: (ifindex) => devices.index(ifindex) }));
  k.netlink_kernel_create(routeSocket(world));
  k.genl_register_family(ethtoolFamily(world));

  const carrier = createCarrier(world, own);
  const { leftovers: deviceLeftovers, ...register } = createRegister(world, carrier, own);
  const { leftovers: napiLeftovers, ...napi } = createNapi(k.machine.sched, k);
  let loopback: NetDev | null = null;
  const symbols: NetdevSymbols = {
    ...register, ...carrier.symbols, ...napi, ...skbs.symbols,
    netdevs: () => devices.list().filter((dev) => dev !== loopback),
    dev_get_by_name: (name) => devices.name(name),
    dev_get_by_index: (ifindex) => devices.index(ifindex),
    dev_open: (dev) => withRtnl(world, () => openDevice(world, own(dev))),
    dev_close: (dev) => withRtnl(world, () => closeDevice(world, own(dev))),
    dev_set_mtu: (dev, mtu) => withRtnl(world, () => setMtu(world, own(dev), mtu)),
    dev_set_mac_address: (dev, addr) => withRtnl(world, () => setMacAddress(world, own(dev), addr)),
    rtnl_lock: () => k.mutex_lock(world.rtnl, 'rtnl_lock'),
    rtnl_unlock: () => k.mutex_unlock(world.rtnl),
    vlan_vid_add: (dev, vid) => addVid(own(dev), vid),
    vlan_vid_del: (dev, vid) => delVid(own(dev), vid),
    netdev_notify_peers: (dev) => world.notify(own(dev), 0),
    netif_stop_queue: (dev) => {
      own(dev).queue_stopped = true;
    },
    netif_start_queue: (dev) => {
      own(dev).queue_stopped = false;
    },
    netif_wake_queue(handle) {
      const dev = own(handle);
      dev.queue_stopped = false;
      return dev.qdisc.schedule();
    },
    netif_receive_skb(handle) {
      const skb = skbs.own(handle);
      const dev = own(skb.dev);
      sockets.incoming(skb, dev);
      return skbs.symbols.kfree_skb(skb);
    },
    dev_queue_xmit(handle) {
      const skb = skbs.own(handle);
      return own(skb.dev).qdisc.send(skb);
    },
    netdev_info: (handle, text) => k._printk(KERN_INFO, `${logName(own(handle))}: ${text}`),
    netdev_leftovers: () => [
      ...deviceLeftovers().filter((dev) => dev !== loopback).map((dev) => `network device ${dev.name} (${dev.reg_state})`), ...napiLeftovers(), ...skbs.leftovers(),
      ...[...sockets.all].map(({ comm, tp_drops }) => `packet socket of ${comm}, ${tp_drops} frames lost`),
    ],
  };  loopback = await registerLoopback(symbols);
  return symbols;
}

/** The device behind a handle. */
function own(dev: NetDevice | null): NetDev {
  if (dev instanceof NetDev) return dev;
  throw new Error('netdev: not a network device of this kernel');
}

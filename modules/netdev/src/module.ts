/** Network devices, packet sockets and rtnetlink. Mirrors `net/core/dev.c` (Linux 6.1), Ethernet only. */
import { defineModule, KernelError } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import { AF_PACKET, NETLINK_ROUTE, RTNLGRP_LINK } from '@vdpalab/uapi';
import { EtherDevice } from './device.ts';
import type { NetDevice } from './header.ts';
import { createLinks } from './links.ts';
import { createNapi } from './napi.ts';
import { PacketSockets, type PacketSocket } from './packet.ts';
import { linkMessage, routeSocket } from './rtnetlink.ts';
import { createSkbs } from './skb.ts';
import { netClass } from './sysfs.ts';
import { dropQueue, queueXmit, runQueue, wakeQueue } from './xmit.ts';

export default defineModule({
  name: 'netdev',
  license: 'GPL',
  description: 'Network devices, packet sockets and rtnetlink',
  builtin: true,
  imports: [
    'machine', '_printk', 'init_waitqueue_head', 'wait_event', 'wake_up', 'alloc_pages', 'free_pages', 'phys_view', 'sock_register',
    'sock_unregister', 'capable', 'class_register', 'class_unregister', 'device_initialize', 'device_add', 'device_del', 'put_device',
    'kobject_uevent', 'kernfs_rename', 'netlink_kernel_create', 'netlink_kernel_release', 'netlink_broadcast', 'dev_info',
  ],
  exports: [
    'alloc_etherdev', 'free_netdev', 'register_netdev', 'unregister_netdev', 'dev_get_by_name', 'dev_get_by_index', 'dev_open', 'dev_close',
    'dev_set_mtu', 'dev_set_mac_address', 'eth_hw_addr_set', 'eth_hw_addr_random', 'netif_carrier_on', 'netif_carrier_off', 'netif_stop_queue',
    'netif_start_queue', 'netif_wake_queue', 'alloc_skb', 'build_skb', 'kfree_skb', 'skb_copy_bits', 'skb_store_bits', 'netif_receive_skb',
    'dev_queue_xmit', 'netif_napi_add', 'netif_napi_del', 'napi_enable', 'napi_disable', 'napi_schedule', 'napi_complete_done', 'netdev_info',
  ],
  exportsGpl: ['netdevs', 'netdev_leftovers'],

  module_init(k, { undo }) {
    const { sched } = k.machine;
    const devices: EtherDevice[] = [];
    const skbs = createSkbs(k, () => devices.length > 0);
    const napi = createNapi(sched, k);
    const byDevice = new Map<Device, EtherDevice>();
    undo.push('frame pages', () => skbs.drain());

    const own = (dev: NetDevice): EtherDevice => {
      if (!(dev instanceof EtherDevice)) throw new TypeError(`${dev.name} is no interface of this kernel`);
      return dev;
    };
    const byIndex = (ifindex: number): EtherDevice | null => devices.find((d) => d.ifindex === ifindex) ?? null;
    const xmit = (dev: EtherDevice, skb: Parameters<typeof queueXmit>[2], from: PacketSocket | null) =>
      queueXmit(skbs.symbols, dev, skb, (frame) => packets.deliver(dev, frame, true, from));
    const packets = new PacketSockets({ k, skbs: skbs.symbols, byIndex, xmit });

    const links = createLinks(k, {
      devices,
      announce(dev, change) {
        return k.netlink_broadcast(NETLINK_ROUTE, RTNLGRP_LINK, linkMessage(dev, change));
      },
      gone(dev) {
        packets.unbind(dev.ifindex);
        return devices.length === 0 ? skbs.drain() : undefined; // nobody is left to reuse pages
      },
      dropQueue: (dev) => dropQueue(skbs.symbols, dev),
      deviceOf: (dev, name) => k.device_initialize({
        name, parent: dev.parent, class: cls,
        release: (device) => void byDevice.delete(device) as undefined,
      }),
      remember: (device, dev) => void byDevice.set(device, dev) as undefined,
    });
    const cls = netClass((device) => byDevice.get(device) as EtherDevice, links.setMtu, links.parseNumber);
    k.class_register(cls);
    undo.push('class net', () => k.class_unregister(cls));
    k.sock_register(packets.family());
    undo.push('AF_PACKET', () => k.sock_unregister(AF_PACKET));
    k.netlink_kernel_create(routeSocket(k, links));
    undo.push('NETLINK_ROUTE', () => k.netlink_kernel_release(NETLINK_ROUTE));

    return {
      ksymtab: {
        ...skbs.symbols,
        ...napi.symbols,
        alloc_etherdev: (pattern, ops, parent, priv) => new EtherDevice(pattern, ops, parent, priv, runQueue),
        free_netdev(dev) {
          if (own(dev).registered) throw new Error(`${dev.name} is registered`);
          return undefined;
        },
        register_netdev: (dev) => links.register(own(dev)),
        unregister_netdev: (dev) => links.unregister(own(dev)),
        netdevs: () => [...devices],
        dev_get_by_name: (name) => devices.find((d) => d.name === name) ?? null,
        dev_get_by_index: byIndex,
        dev_open: (dev) => links.setUp(own(dev), true),
        dev_close: (dev) => links.setUp(own(dev), false),
        dev_set_mtu: (dev, mtu) => links.setMtu(own(dev), mtu),
        dev_set_mac_address: (dev, addr) => links.setAddress(own(dev), addr),
        eth_hw_addr_set: (dev, addr) => links.hwAddr(own(dev), addr),
        eth_hw_addr_random: (dev) => links.randomAddr(own(dev)),
        netif_carrier_on: (dev) => links.setCarrier(own(dev), true),
        netif_carrier_off: (dev) => links.setCarrier(own(dev), false),
        netif_stop_queue(dev) {
          own(dev).queue_stopped = true;
          return undefined;
        },
        netif_start_queue(dev) {
          own(dev).queue_stopped = false;
          return undefined;
        },
        netif_wake_queue: (dev) => wakeQueue(sched, own(dev)),
        netif_receive_skb(skb) {
          const dev = skb.dev === null ? null : own(skb.dev);
          if (dev !== null) packets.deliver(dev, skb, false, null);
          return skbs.symbols.kfree_skb(skb);
        },
        dev_queue_xmit(skb) {
          if (skb.dev === null) throw new KernelError('ENETDOWN', 'netdev.xmit.nowhere', 'a frame without an interface');
          return xmit(own(skb.dev), skb, null);
        },
        netdev_info: (dev, text) => k._printk(6, `${dev.name}: ${text}`),
        netdev_leftovers: () => [
          ...devices.map((d) => `interface ${d.name}`),
          ...packets.leftovers(),
          ...napi.leftovers(),
          ...(skbs.alive() > 0 ? [`${skbs.alive()} frames`] : []),
        ],
      },
      module_exit: () => undefined,
    };
  },
});

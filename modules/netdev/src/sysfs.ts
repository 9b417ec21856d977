/** Files of /sys/class/net/N. Mirrors `net/core/net-sysfs.c` (Linux 6.1). */
import type { Attribute, Class, Device } from '@vdpalab/driver-core';
import { ARPHRD_ETHER } from '@vdpalab/uapi';
import type { EtherDevice } from './device.ts';
import type { NetStats } from './header.ts';

/** `52:54:00:00:00:0a` */
export const macText = (addr: Uint8Array): string => Array.from(addr, (b) => b.toString(16).padStart(2, '0')).join(':');

const counters = [
  'rx_packets', 'tx_packets', 'rx_bytes', 'tx_bytes', 'rx_errors', 'tx_errors', 'rx_dropped', 'tx_dropped', 'rx_length_errors',
] as const satisfies readonly (keyof NetStats)[];

/** The class, over what the core does with a store. */
export function netClass(of: (dev: Device) => EtherDevice, setMtu: (dev: EtherDevice, mtu: number) => Promise<void>, number: (text: string) => number): Class {
  const file = (name: string, show: (dev: EtherDevice) => string | number): Attribute<Device> => ({
    name, mode: 0o444, show: async (dev) => `${show(of(dev))}\n`,
  });
  return {
    name: 'net',
    dev_uevent: (dev) => [`INTERFACE=${of(dev).name}`, `IFINDEX=${of(dev).ifindex}`],
    dev_groups: [
      {
        attrs: [
          file('addr_assign_type', (d) => d.addr_assign_type),
          file('addr_len', () => 6),
          file('address', (d) => macText(d.dev_addr)),
          file('broadcast', () => 'ff:ff:ff:ff:ff:ff'),
          {
            name: 'carrier', mode: 0o644,
            show: async (dev) => `${of(dev).carrier ? 1 : 0}\n`,
          },
          file('dormant', () => 0),
          file('flags', (d) => `0x${d.flags.toString(16)}`),
          file('ifindex', (d) => d.ifindex),
          file('iflink', (d) => d.ifindex),
          {
            name: 'mtu', mode: 0o644,
            show: async (dev) => `${of(dev).mtu}\n`,
            store: (dev, text) => setMtu(of(dev), number(text)),
          },
          file('operstate', (d) => d.operstate),
          file('tx_queue_len', () => 1000),
          file('type', () => ARPHRD_ETHER),
        ],
      },
      { name: 'statistics', attrs: counters.map((name) => file(name, (d) => d.stats[name])) },
    ],
  };
}

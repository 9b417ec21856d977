/** /sys/class/net. Mirrors `net/core/net-sysfs.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Attribute, AttributeGroup, Device } from '@vdpalab/driver-core';
import { CAP_NET_ADMIN, ETH_ALEN, IF_OPER_DORMANT, IF_OPER_DOWN, IF_OPER_TESTING, utf8Encode } from '@vdpalab/uapi';
import { changeFlags, isRunning, setMtu } from './link.ts';
import type { NetDeviceOps } from './header.ts';
import { formatMac } from './net-device.ts';
import type { NetDev } from './net-device.ts';
import { linkStats } from './stats.ts';
import { withRtnl } from './table.ts';
import type { NetWorld } from './table.ts';

/** Bytes of an alias, its zero included. */
const IFALIASZ = 256;
const OPERSTATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const;

/** Attributes of every network device. */
export function deviceGroups(world: NetWorld): AttributeGroup<Device>[] {
  const alive = (dev: Device): NetDev => {
    const found = world.byDevice.get(dev);
    if (found?.reg_state === 'registered') return found;
    throw new KernelError('EINVAL', 'netdev.sysfs.gone', `${dev.name}: not registered`);
  };
  const text = (name: string, show: (dev: NetDev) => string | number, mode = 0o444): Attribute<Device> =>
    ({ name, mode, show: async (dev) => `${show(alive(dev))}\n` });
  /** @see `netdev_store` */
  const stored = (attr: Attribute<Device>, set: (dev: NetDev, value: number) => Promise<void>): Attribute<Device> => ({
    ...attr,
    async store(dev, value) {
      if (!world.k.capable(CAP_NET_ADMIN)) throw new KernelError('EPERM', 'netdev.sysfs.cap', `${dev.name}: ${attr.name} needs CAP_NET_ADMIN`);
      const number = parse(value);
      if (number === null) throw new KernelError('EINVAL', 'netdev.sysfs.number', `${dev.name}: ${JSON.stringify(value)} is not a number`);
      await withRtnl(world, () => set(alive(dev), number));
    },
  });
  const running = (name: string, show: (dev: NetDev) => string | number, mode = 0o444): Attribute<Device> => text(name, (dev) => {
    if (isRunning(dev)) return show(dev);
    throw new KernelError('EINVAL', 'netdev.sysfs.down', `${dev.name} is down`);
  }, mode);
  return [
    {
      attrs: [
        text('addr_assign_type', (dev) => dev.addr_assign_type),
        text('addr_len', () => ETH_ALEN),
        text('address', (dev) => formatMac(dev.dev_addr)),
        text('broadcast', (dev) => formatMac(dev.broadcast)),
        stored(running('carrier', (dev) => (dev.carrier ? 1 : 0), 0o644), noCarrierChange),
        text('carrier_changes', (dev) => dev.carrier_changes),
        text('carrier_down_count', (dev) => dev.carrier_down_count),
        text('carrier_up_count', (dev) => dev.carrier_up_count),
        text('dev_id', () => '0x0'),
        text('dev_port', () => 0),
        running('dormant', (dev) => (dev.operstate === IF_OPER_DORMANT ? 1 : 0)),
        running('duplex', (dev) => settings(dev).duplex),
        stored(text('flags', (dev) => `0x${dev.flags.toString(16)}`, 0o644), (dev, value) => changeFlags(world, dev, value)),
        stored(text('gro_flush_timeout', () => 0, 0o644), notKept),
        {
          name: 'ifalias', mode: 0o644,
          // An alias that is not there shows nothing, not even a line's end.
          show: async (dev) => (alive(dev).ifalias === '' ? '' : `${alive(dev).ifalias}\n`),
          store: (dev, value) => storeAlias(world, alive(dev), value),
        },
        text('ifindex', (dev) => dev.ifindex),
        text('iflink', (dev) => dev.ifindex),
        text('link_mode', (dev) => dev.link_mode),
        stored(text('mtu', (dev) => dev.mtu, 0o644), (dev, value) => setMtu(world, dev, value)),
        text('name_assign_type', (dev) => dev.name_assign_type),
        stored(text('napi_defer_hard_irqs', () => 0, 0o644), notKept),
        stored(text('netdev_group', (dev) => dev.group, 0o644), async (dev, value) => void (dev.group = value)),
        text('operstate', (dev) => OPERSTATES[isRunning(dev) ? dev.operstate : IF_OPER_DOWN]!),
        text('phys_port_id', noPort),
        text('phys_port_name', noPort),
        text('phys_switch_id', noPort),
        stored(text('proto_down', () => 0, 0o644), async (dev) => noPort(dev)),
        running('speed', (dev) => settings(dev).speed),
        running('testing', (dev) => (dev.operstate === IF_OPER_TESTING ? 1 : 0)),
        stored(text('threaded', () => 0, 0o644), notKept),
        stored(text('tx_queue_len', (dev) => dev.tx_queue_len, 0o644), async (dev, value) => void (dev.tx_queue_len = value)),
        text('type', (dev) => dev.type),
      ],
    },
    {
      name: 'statistics',
      attrs: Object.keys(linkStats(null)).map((name) => text(name, (dev) => String(linkStats(dev)[name as keyof ReturnType<typeof linkStats>]))),
    },
  ];
}

/** Lines of a network device's uevents. @see `netdev_uevent` */
export function ueventLines(dev: NetDev): string[] {
  return [`INTERFACE=${dev.name}`, `IFINDEX=${dev.ifindex}`];
}

/** @throws EOPNOTSUPP: the carrier is the device's @see `carrier_store` */
async function noCarrierChange(dev: NetDev): Promise<void> {
  throw new KernelError('EOPNOTSUPP', 'netdev.carrier.fixed', `${dev.name}: its driver changes no carrier`);
}

/** @throws EOPNOTSUPP: drivers here know no ports of a switch @see `phys_port_id_show` */
function noPort(dev: NetDev): never {
  throw new KernelError('EOPNOTSUPP', 'netdev.sysfs.port', `${dev.name}: its driver knows nothing of ports`);
}

/** @throws EOPNOTSUPP: how receiving is put off is not modelled */
async function notKept(dev: NetDev): Promise<void> {
  throw new KernelError('EOPNOTSUPP', 'netdev.sysfs.napi', `${dev.name}: receiving cannot be put off`);
}

/** @throws EPERM EINVAL for 256 bytes or more @see `ifalias_store`, `dev_set_alias` */
async function storeAlias(world: NetWorld, dev: NetDev, value: string): Promise<void> {
  if (!world.k.capable(CAP_NET_ADMIN)) throw new KernelError('EPERM', 'netdev.sysfs.cap', `${dev.name}: ifalias needs CAP_NET_ADMIN`);
  const alias = value.replace(/\n$/, '');
  if (utf8Encode(alias).length >= IFALIASZ) throw new KernelError('EINVAL', 'netdev.alias.length', `${dev.name}: an alias of ${alias.length} characters`);
  await withRtnl(world, async () => {
    dev.ifalias = alias;
    world.notify(dev, 0);
  });
}

/** @throws EINVAL when the driver knows no link settings @see `speed_show` */
function settings(dev: NetDev): ReturnType<NonNullable<NetDeviceOps['get_link_ksettings']>> {
  const known = dev.netdev_ops.get_link_ksettings?.(dev);
  if (known !== undefined) return known;
  throw new KernelError('EINVAL', 'netdev.settings.absent', `${dev.name}: its driver knows no link settings`);
}

/** `kstrtoul` */
function parse(text: string): number | null {
  const m = /^\+?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\n?$/.exec(text);
  if (m === null) return null;
  return /^0[0-7]+$/.test(m[1]!) ? Number.parseInt(m[1]!, 8) : Number(m[1]);
}

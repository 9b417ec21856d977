/** The generic netlink family `ethtool`: queue pairs of interfaces. Mirrors `net/ethtool/{netlink,channels}.c` (Linux 6.1); other requests are not modelled. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, ErrnoName } from '@vdpalab/abi';
import type { GenlFamily, NlAttrs, NlaPolicy, NlMessageBuilder } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import type { NetDev } from './net-device.ts';
import { withRtnl } from './table.ts';
import type { NetWorld } from './table.ts';

const policy: Readonly<Record<number, NlaPolicy>> = {
  [uapi.ETHTOOL_A_CHANNELS_HEADER]: { type: 'nested' },
  [uapi.ETHTOOL_A_CHANNELS_RX_COUNT]: { type: 'u32' },
  [uapi.ETHTOOL_A_CHANNELS_TX_COUNT]: { type: 'u32' },
  [uapi.ETHTOOL_A_CHANNELS_OTHER_COUNT]: { type: 'u32' },
  [uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT]: { type: 'u32' },
};

const headerPolicy: Readonly<Record<number, NlaPolicy>> = {
  [uapi.ETHTOOL_A_HEADER_DEV_INDEX]: { type: 'u32', min: 1n },
  [uapi.ETHTOOL_A_HEADER_DEV_NAME]: { type: 'nul_string', maxlen: uapi.IFNAMSIZ - 1 },
  [uapi.ETHTOOL_A_HEADER_FLAGS]: { type: 'u32' },
};

/** Kinds of queues that drivers here do not tell apart. */
const SEPARATE = [uapi.ETHTOOL_A_CHANNELS_RX_COUNT, uapi.ETHTOOL_A_CHANNELS_TX_COUNT, uapi.ETHTOOL_A_CHANNELS_OTHER_COUNT];

function refuse(errno: ErrnoName, rule: string, text: string, subject: string): KernelError {
  return new KernelError(errno, `ethtool.${rule}`, `${subject}: ${text}`, { extack: text });
}

/** The family, over the interfaces of one kernel. */
export function ethtoolFamily(world: NetWorld): GenlFamily {
  const { k, devices } = world;

  /** @throws EINVAL ENODEV @see `ethnl_parse_header_dev_get` */
  function find(attrs: NlAttrs): NetDev {
    if (!attrs.has(uapi.ETHTOOL_A_CHANNELS_HEADER)) throw refuse('EINVAL', 'header', 'request header missing', 'ethtool');
    const header = k.nla_parse(attrs.bytes(uapi.ETHTOOL_A_CHANNELS_HEADER), headerPolicy, uapi.ETHTOOL_A_HEADER_MAX);
    if (header.has(uapi.ETHTOOL_A_HEADER_DEV_INDEX)) {
      const index = header.u32(uapi.ETHTOOL_A_HEADER_DEV_INDEX);
      const dev = devices.index(index);
      if (dev === null) throw refuse('ENODEV', 'device', 'no device matches ifindex', `${index}`);
      return dev;
    }
    if (!header.has(uapi.ETHTOOL_A_HEADER_DEV_NAME)) throw refuse('EINVAL', 'header', 'neither ifindex nor name specified', 'ethtool');
    const name = header.string(uapi.ETHTOOL_A_HEADER_DEV_NAME);
    const dev = devices.name(name);
    if (dev === null) throw refuse('ENODEV', 'device', 'no device matches name', name);
    return dev;
  }

  return {
    name: uapi.ETHTOOL_GENL_NAME,
    version: uapi.ETHTOOL_GENL_VERSION,
    maxattr: uapi.ETHTOOL_A_CHANNELS_MAX,
    policy,
    netnsok: true,
    parallel_ops: true,
    mcgrps: [uapi.ETHTOOL_MCGRP_MONITOR_NAME],
    module: null,
    ops: [
      {
        cmd: uapi.ETHTOOL_MSG_CHANNELS_GET,
        doit: (info) => withRtnl(world, async () => {
          const dev = find(info.attrs);
          const channels = channelsOf(dev);
          info.reply(uapi.ETHTOOL_MSG_CHANNELS_GET_REPLY, (msg) => fill(msg, dev, channels));
        }),
        dumpit: (_, emit) => withRtnl(world, async () => {
          for (const dev of devices.list()) {
            const channels = dev.netdev_ops.get_channels?.(dev);
            if (channels !== undefined) emit(uapi.ETHTOOL_MSG_CHANNELS_GET_REPLY, (msg) => fill(msg, dev, channels));
          }
        }),
      },
      {
        cmd: uapi.ETHTOOL_MSG_CHANNELS_SET,
        admin: true,
        doit: ({ attrs }) => withRtnl(world, () => setChannels(find(attrs), attrs)),
      },
    ],
  };
}

type Channels = ReturnType<NonNullable<NetDev['netdev_ops']['get_channels']>>;

function channelsOf(dev: NetDev): Channels {
  const channels = dev.netdev_ops.get_channels?.(dev);
  if (channels === undefined) throw new KernelError('EOPNOTSUPP', 'ethtool.channels.op', `${dev.name}: its driver tells no channels`);
  return channels;
}

/** `channels_fill_reply` */
function fill(msg: NlMessageBuilder, dev: NetDev, { max_combined, combined_count }: Channels): Atomic {
  const header = msg.nestStart(uapi.ETHTOOL_A_CHANNELS_HEADER | uapi.NLA_F_NESTED);
  msg.putU32(uapi.ETHTOOL_A_HEADER_DEV_INDEX, dev.ifindex);
  msg.putString(uapi.ETHTOOL_A_HEADER_DEV_NAME, dev.name);
  msg.nestEnd(header);
  msg.putU32(uapi.ETHTOOL_A_CHANNELS_COMBINED_MAX, max_combined);
  return msg.putU32(uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT, combined_count);
}

/** `ethnl_set_channels` */
async function setChannels(dev: NetDev, attrs: NlAttrs): Promise<void> {
  const { max_combined, combined_count } = channelsOf(dev);
  const set = dev.netdev_ops.set_channels;
  if (set === undefined) throw new KernelError('EOPNOTSUPP', 'ethtool.channels.op', `${dev.name}: its driver sets no channels`);
  const wanted = attrs.has(uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT) ? attrs.u32(uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT) : combined_count;
  const separate = SEPARATE.some((attr) => attrs.has(attr) && attrs.u32(attr) > 0);
  if (separate || wanted > max_combined) throw refuse('EINVAL', 'channels.most', 'requested channel count exceeds maximum', dev.name);
  if (wanted === combined_count) return;
  if (wanted === 0) throw refuse('EINVAL', 'channels.none', 'requested channel counts would result in no RX or TX channel being configured', dev.name);
  await set(dev, wanted);
}

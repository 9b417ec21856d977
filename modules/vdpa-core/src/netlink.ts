/** The generic netlink family `vdpa`. Mirrors the netlink half of `drivers/vdpa/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { FsSymbols } from '@vdpalab/fs';
import type { GenlFamily, GenlInfo, NlAttrs, NlMessageBuilder, NlaPolicy } from '@vdpalab/netlink';
import type { RwSemaphore, SchedSymbols } from '@vdpalab/sched';
import {
  CAP_NET_ADMIN, ETH_ALEN, VDPA_ATTR_DEV_FEATURES, VDPA_ATTR_DEV_ID, VDPA_ATTR_DEV_MAX_VQS, VDPA_ATTR_DEV_MAX_VQ_SIZE,
  VDPA_ATTR_DEV_MGMTDEV_MAX_VQS, VDPA_ATTR_DEV_MIN_VQ_SIZE, VDPA_ATTR_DEV_NAME, VDPA_ATTR_DEV_NET_CFG_MACADDR,
  VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU, VDPA_ATTR_DEV_QUEUE_INDEX, VDPA_ATTR_DEV_SUPPORTED_FEATURES,
  VDPA_ATTR_DEV_VENDOR_ID, VDPA_ATTR_MAX, VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME,
  VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES, VDPA_ATTR_PAD, VDPA_CMD_DEV_ATTR_SET, VDPA_CMD_DEV_CONFIG_GET, VDPA_CMD_DEV_DEL, VDPA_CMD_DEV_GET,
  VDPA_CMD_DEV_NEW, VDPA_CMD_DEV_VSTATS_GET, VDPA_CMD_MGMTDEV_GET, VDPA_CMD_MGMTDEV_NEW, VIRTIO_ID_NET, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MTU, VIRTIO_TRANSPORT_F_END, VIRTIO_TRANSPORT_F_START,
} from '@vdpalab/uapi';
import { configMessage, statsMessage, type Fill } from './device-messages.ts';
import type { VdpaDevice, VdpaDevSetConfig, VdpaMgmtDev } from './header.ts';
import type { Managers } from './managers.ts';

const policy: Readonly<Record<number, NlaPolicy>> = {
  [VDPA_ATTR_MGMTDEV_BUS_NAME]: { type: 'nul_string' },
  [VDPA_ATTR_MGMTDEV_DEV_NAME]: { type: 'string' },
  [VDPA_ATTR_DEV_NAME]: { type: 'string' },
  [VDPA_ATTR_DEV_NET_CFG_MACADDR]: { type: 'binary', minlen: ETH_ALEN, maxlen: ETH_ALEN },
  [VDPA_ATTR_DEV_NET_CFG_MAX_VQP]: { type: 'u16' },
  [VDPA_ATTR_DEV_NET_CFG_MTU]: { type: 'u16', min: 68n },
  [VDPA_ATTR_DEV_QUEUE_INDEX]: { type: 'u32' },
  [VDPA_ATTR_DEV_FEATURES]: { type: 'u64' },
};

const bit = (attr: number): bigint => 1n << BigInt(attr);

/** Feature bits that mean something else for each class of device: all but those of the transport. */
const DEVICE_FEATURES = ~(bit(VIRTIO_TRANSPORT_F_END + 1) - bit(VIRTIO_TRANSPORT_F_START)) & (bit(64) - 1n);

/** Attributes only a network administrator may set. */
const NET_ATTRS = bit(VDPA_ATTR_DEV_NET_CFG_MACADDR) | bit(VDPA_ATTR_DEV_NET_CFG_MTU) | bit(VDPA_ATTR_DEV_NET_CFG_MAX_VQP);

/** What the family works on. */
export interface Management {
  readonly managers: Managers;
  /** The vDPA device of that very name on the bus. */
  readonly find: (name: string) => VdpaDevice | null;
  /** vDPA devices on the bus, oldest first. */
  readonly devices: () => readonly VdpaDevice[];
  /** Held for reading by queries, for writing by add and delete. */
  readonly lock: RwSemaphore;
  /** The kernel is of 6.12: block devices have a configuration to show. */
  readonly later: boolean;
}

type Kernel = Pick<SchedSymbols, 'down_read' | 'up_read' | 'down_write' | 'up_write'> & Pick<FsSymbols, 'capable'>;

/** A refusal with the text iproute2 prints after `Error: vdpa: `. */
function refuse(errno: 'EINVAL' | 'ENODEV' | 'EOPNOTSUPP', rule: string, text: string, subject: string): KernelError {
  return new KernelError(errno, `vdpa.netlink.${rule}`, `${subject}: ${text}`, { extack: `vdpa: ${text}` });
}

function required(attrs: NlAttrs, attr: number, what: string): void {
  if (!attrs.has(attr)) throw new KernelError('EINVAL', `vdpa.netlink.missing.${what}`, `the ${what} is missing`);
}

function fillHandle(msg: NlMessageBuilder, device: Device): Atomic {
  if (device.bus !== null) msg.putString(VDPA_ATTR_MGMTDEV_BUS_NAME, device.bus.name);
  return msg.putString(VDPA_ATTR_MGMTDEV_DEV_NAME, device.name);
}

function mgmtdevMessage(mdev: VdpaMgmtDev): Fill {
  const classes = mdev.id_table.reduce((bits, id) => (id <= 63 ? bits | bit(id) : bits), 0n);
  return (msg) => {
    fillHandle(msg, mdev.device);
    msg.putU64(VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES, classes, VDPA_ATTR_PAD);
    msg.putU32(VDPA_ATTR_DEV_MGMTDEV_MAX_VQS, mdev.max_supported_vqs);
    return msg.putU64(VDPA_ATTR_DEV_SUPPORTED_FEATURES, mdev.supported_features, VDPA_ATTR_PAD);
  };
}

function deviceMessage(vdev: VdpaDevice, mdev: VdpaMgmtDev): Fill {
  const { config } = vdev;
  return (msg) => {
    fillHandle(msg, mdev.device);
    msg.putString(VDPA_ATTR_DEV_NAME, vdev.dev.name);
    msg.putU32(VDPA_ATTR_DEV_ID, config.get_device_id(vdev));
    msg.putU32(VDPA_ATTR_DEV_VENDOR_ID, config.get_vendor_id(vdev));
    msg.putU32(VDPA_ATTR_DEV_MAX_VQS, vdev.nvqs);
    msg.putU16(VDPA_ATTR_DEV_MAX_VQ_SIZE, config.get_vq_num_max(vdev));
    return msg.putU16(VDPA_ATTR_DEV_MIN_VQ_SIZE, config.get_vq_num_min?.(vdev) ?? 1);
  };
}

/** What `vdpa dev add` asked for. @throws EINVAL for no queue pairs */
function setConfig(attrs: NlAttrs): VdpaDevSetConfig {
  let mask = 0n;
  const given = <T>(attr: number, read: () => T, absent: T): T => {
    if (!attrs.has(attr)) return absent;
    mask |= bit(attr);
    return read();
  };
  const mac = given(VDPA_ATTR_DEV_NET_CFG_MACADDR, () => attrs.bytes(VDPA_ATTR_DEV_NET_CFG_MACADDR).slice(0, 6), new Uint8Array(6));
  const mtu = given(VDPA_ATTR_DEV_NET_CFG_MTU, () => attrs.u16(VDPA_ATTR_DEV_NET_CFG_MTU), 0);
  const max_vq_pairs = given(VDPA_ATTR_DEV_NET_CFG_MAX_VQP, () => attrs.u16(VDPA_ATTR_DEV_NET_CFG_MAX_VQP), 0);
  if (attrs.has(VDPA_ATTR_DEV_NET_CFG_MAX_VQP) && max_vq_pairs === 0) {
    throw refuse('EINVAL', 'max-vqp', 'At least one pair of VQs is required', 'max_vqp 0');
  }
  const device_features = given(VDPA_ATTR_DEV_FEATURES, () => attrs.u64(VDPA_ATTR_DEV_FEATURES), 0n);
  return { device_features, net: { mac, mtu, max_vq_pairs }, mask };
}

/** Later than 6.1, and met only by who provisions features: each setting needs its feature among them. */
function checkProvisioned({ device_features, net, mask }: VdpaDevSetConfig): void {
  if ((mask & bit(VDPA_ATTR_DEV_FEATURES)) === 0n) return;
  let needed = 0n;
  if ((mask & bit(VDPA_ATTR_DEV_NET_CFG_MACADDR)) !== 0n) needed |= bit(VIRTIO_NET_F_MAC);
  if ((mask & bit(VDPA_ATTR_DEV_NET_CFG_MTU)) !== 0n) needed |= bit(VIRTIO_NET_F_MTU);
  if (net.max_vq_pairs > 1) needed |= bit(VIRTIO_NET_F_MQ);
  const missing = needed & ~device_features;
  if (missing === 0n) return;
  throw refuse('EINVAL', 'features', `Missing features 0x${missing.toString(16)} for provided attributes`, `device_features 0x${device_features.toString(16)}`);
}

/** Later than 6.1: what is asked for must make sense for the classes the manager has. @throws EINVAL */
function checkClasses(mdev: VdpaMgmtDev, { mask, device_features }: VdpaDevSetConfig, name: string): void {
  const net = mdev.id_table.includes(VIRTIO_ID_NET);
  if ((mask & NET_ATTRS) !== 0n) {
    if (!net) throw refuse('EINVAL', 'class', 'Network class attributes provided on unsupported management device', name);
    return;
  }
  const ambiguous = (mask & bit(VDPA_ATTR_DEV_FEATURES)) !== 0n && net && mdev.id_table.length > 1 && (device_features & DEVICE_FEATURES) !== 0n;
  if (ambiguous) throw refuse('EINVAL', 'ambiguous', 'Management device supports multi-class while device features specified are ambiguous', name);
}

/** `vdpa dev set`: a network device's address. @throws EINVAL for another class; EOPNOTSUPP for no unicast address, or a manager without the op */
async function setAttributes(vdev: VdpaDevice, mdev: VdpaMgmtDev, attrs: NlAttrs): Promise<void> {
  const { name } = vdev.dev;
  if (!mdev.id_table.includes(VIRTIO_ID_NET)) throw refuse('EINVAL', 'attr-class', `${name} device not supported`, name);
  const mac = attrs.has(VDPA_ATTR_DEV_NET_CFG_MACADDR) ? attrs.bytes(VDPA_ATTR_DEV_NET_CFG_MACADDR).slice(0, ETH_ALEN) : null;
  if (mac === null || (mac[0]! & 1) !== 0 || mac.every((byte) => byte === 0)) {
    throw new KernelError('EOPNOTSUPP', 'vdpa.netlink.attr-mac', `${name}: ${mac === null ? 'nothing' : 'no unicast address'} to set`);
  }
  if (mdev.ops.dev_set_attr === undefined) throw refuse('EOPNOTSUPP', 'attr-op', `${name} device does not support changing the MAC address`, name);
  await mdev.ops.dev_set_attr(mdev, vdev, { device_features: 0n, net: { mac, mtu: 0, max_vq_pairs: 0 }, mask: bit(VDPA_ATTR_DEV_NET_CFG_MACADDR) });
}

/** The family, over the managers and devices of one kernel. */
export function vdpaFamily(k: Kernel, management: Management): Omit<GenlFamily, 'module'> {
  const { lock } = management;

  /** @param command of `vdpa_nl_cmd_*`, which waits for the lock */
  async function reading(command: string, body: () => Promise<void>): Promise<void> {
    await k.down_read(lock, `vdpa_nl_cmd_${command}`);
    try {
      await body();
    } finally {
      k.up_read(lock);
    }
  }

  async function writing(command: string, body: () => Promise<void>): Promise<void> {
    await k.down_write(lock, `vdpa_nl_cmd_${command}`);
    try {
      await body();
    } finally {
      k.up_write(lock);
    }
  }

  /** @param text the extack of a handle nobody answers to; two commands word it differently */
  function findMgmtdev(attrs: NlAttrs, text: string): VdpaMgmtDev {
    const bus = attrs.has(VDPA_ATTR_MGMTDEV_BUS_NAME) ? attrs.string(VDPA_ATTR_MGMTDEV_BUS_NAME) : null;
    const name = attrs.has(VDPA_ATTR_MGMTDEV_DEV_NAME) ? attrs.string(VDPA_ATTR_MGMTDEV_DEV_NAME) : null;
    const found = name === null ? null : management.managers.find(bus, name);
    if (found !== null) return found;
    throw refuse(name === null ? 'EINVAL' : 'ENODEV', 'mgmtdev', text, `${bus === null ? '' : `${bus}/`}${name ?? '(no name)'}`);
  }

  function findDevice(attrs: NlAttrs): VdpaDevice {
    const name = attrs.string(VDPA_ATTR_DEV_NAME);
    const vdev = management.find(name);
    if (vdev === null) throw refuse('ENODEV', 'device', 'device not found', name);
    return vdev;
  }

  /** Commands that speak of one managed device share their first checks. */
  async function withManaged(info: GenlInfo, command: string, extack: string | null, body: (vdev: VdpaDevice, mdev: VdpaMgmtDev) => Promise<void>): Promise<void> {
    required(info.attrs, VDPA_ATTR_DEV_NAME, 'device name');
    await reading(command, async () => {
      const vdev = findDevice(info.attrs);
      if (vdev.mdev === null) {
        throw extack === null
          ? new KernelError('EINVAL', 'vdpa.netlink.unmanaged', `${vdev.dev.name}: no management device made it`)
          : refuse('EINVAL', 'unmanaged', extack, vdev.dev.name);
      }
      await body(vdev, vdev.mdev);
    });
  }

  /** Later than 6.1. */
  const setAttribute: GenlFamily['ops'][number] = {
    cmd: VDPA_CMD_DEV_ATTR_SET,
    admin: true,
    async doit({ attrs }) {
      required(attrs, VDPA_ATTR_DEV_NAME, 'device name');
      await writing('dev_attr_set_doit', async () => {
        const vdev = findDevice(attrs);
        if (vdev.mdev === null) throw refuse('EINVAL', 'attr-set', 'unmanaged vdpa device', vdev.dev.name);
        await setAttributes(vdev, vdev.mdev, attrs);
      });
    },
  };

  return {
    name: 'vdpa',
    version: 1,
    maxattr: VDPA_ATTR_MAX,
    policy,
    netnsok: false,
    ops: [
      {
        cmd: VDPA_CMD_MGMTDEV_GET,
        doit: (info) => reading('mgmtdev_get_doit', async () => {
          info.reply(VDPA_CMD_MGMTDEV_NEW, mgmtdevMessage(findMgmtdev(info.attrs, 'Fail to find the specified mgmt device')));
        }),
        dumpit: (_, emit) => reading('mgmtdev_get_dumpit', async () => {
          for (const mdev of management.managers.items()) emit(VDPA_CMD_MGMTDEV_NEW, mgmtdevMessage(mdev));
        }),
      },
      {
        cmd: VDPA_CMD_DEV_NEW,
        admin: true,
        async doit({ attrs }) {
          required(attrs, VDPA_ATTR_DEV_NAME, 'device name');
          const name = attrs.string(VDPA_ATTR_DEV_NAME);
          const config = setConfig(attrs);
          if (management.later) checkProvisioned(config);
          if ((config.mask & NET_ATTRS) !== 0n && !k.capable(CAP_NET_ADMIN)) {
            throw new KernelError('EPERM', 'vdpa.netlink.net-admin', `${name}: network attributes need CAP_NET_ADMIN`);
          }
          await writing('dev_add_set_doit', async () => {
            const mdev = findMgmtdev(attrs, 'Fail to find the specified management device');
            if ((config.mask & ~mdev.config_attr_mask) !== 0n) {
              throw refuse('EOPNOTSUPP', 'attributes', 'All provided attributes are not supported', name);
            }
            if (management.later) checkClasses(mdev, config, name);
            await mdev.ops.dev_add(mdev, name, config);
          });
        },
      },
      {
        cmd: VDPA_CMD_DEV_DEL,
        admin: true,
        async doit({ attrs }) {
          required(attrs, VDPA_ATTR_DEV_NAME, 'device name');
          await writing('dev_del_set_doit', async () => {
            const vdev = findDevice(attrs);
            if (vdev.mdev === null) throw refuse('EINVAL', 'delete', 'Only user created device can be deleted by user', vdev.dev.name);
            await vdev.mdev.ops.dev_del(vdev.mdev, vdev);
          });
        },
      },
      {
        cmd: VDPA_CMD_DEV_GET,
        doit: (info) => withManaged(info, 'dev_get_doit', null, async (vdev, mdev) => {
          info.reply(VDPA_CMD_DEV_NEW, deviceMessage(vdev, mdev));
        }),
        dumpit: (_, emit) => reading('dev_get_dumpit', async () => {
          for (const vdev of management.devices()) if (vdev.mdev !== null) emit(VDPA_CMD_DEV_NEW, deviceMessage(vdev, vdev.mdev));
        }),
      },
      {
        cmd: VDPA_CMD_DEV_CONFIG_GET,
        doit: (info) => withManaged(info, 'dev_config_get_doit', 'unmanaged vdpa device', async (vdev) => {
          info.reply(VDPA_CMD_DEV_CONFIG_GET, await configMessage(k, vdev, management.later));
        }),
        dumpit: (_, emit) => reading('dev_config_get_dumpit', async () => {
          for (const vdev of management.devices()) {
            if (vdev.mdev === null) continue;
            let message: Fill;
            try {
              message = await configMessage(k, vdev, management.later);
            } catch {
              return; // 6.1 ends the listing at the first device that has none, without a word
            }
            emit(VDPA_CMD_DEV_CONFIG_GET, message);
          }
        }),
      },
      {
        cmd: VDPA_CMD_DEV_VSTATS_GET,
        admin: true,
        async doit(info) {
          required(info.attrs, VDPA_ATTR_DEV_NAME, 'device name');
          required(info.attrs, VDPA_ATTR_DEV_QUEUE_INDEX, 'queue index');
          const index = info.attrs.u32(VDPA_ATTR_DEV_QUEUE_INDEX);
          await withManaged(info, 'dev_stats_get_doit', 'unmanaged vdpa device', async (vdev) => {
            info.reply(VDPA_CMD_DEV_VSTATS_GET, await statsMessage(k, vdev, index));
          });
        },
      },
      ...(management.later ? [setAttribute] : []),
    ],
  };
}

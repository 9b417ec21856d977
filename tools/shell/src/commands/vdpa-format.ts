/** Names `vdpa` prints for numbers. Mirrors `vdpa/vdpa.c` (iproute2 6.1). */
import type { GenlMessage } from '@vdpalab/user';
import {
  VDPA_ATTR_DEV_ID, VDPA_ATTR_DEV_MAX_VQS, VDPA_ATTR_DEV_MAX_VQ_SIZE, VDPA_ATTR_DEV_MGMTDEV_MAX_VQS, VDPA_ATTR_DEV_NAME,
  VDPA_ATTR_DEV_NEGOTIATED_FEATURES, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU,
  VDPA_ATTR_DEV_NET_STATUS, VDPA_ATTR_DEV_SUPPORTED_FEATURES, VDPA_ATTR_DEV_VENDOR_ID, VDPA_ATTR_MGMTDEV_BUS_NAME,
  VDPA_ATTR_MGMTDEV_DEV_NAME, VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES, VIRTIO_ID_NET, VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP,
} from '@vdpalab/uapi';
import type { Json } from './json.ts';

/** virtio ids by number: the class as a management device shows it, the type as a device does. */
const classNames: Readonly<Record<number, readonly [cls: string, type: string]>> = {
  1: ['net', 'network'], 2: ['block', 'block'], 3: ['console', 'console'], 4: ['rng', 'rng'], 8: ['scsi', 'scsi'], 18: ['input', 'input'],
  20: ['crypto', 'crypto'],
};

const netBits: Readonly<Record<number, string>> = {
  0: 'CSUM', 1: 'GUEST_CSUM', 2: 'CTRL_GUEST_OFFLOADS', 3: 'MTU', 5: 'MAC', 7: 'GUEST_TSO4', 8: 'GUEST_TSO6', 9: 'GUEST_ECN', 10: 'GUEST_UFO',
  11: 'HOST_TSO4', 12: 'HOST_TSO6', 13: 'HOST_ECN', 14: 'HOST_UFO', 15: 'MRG_RXBUF', 16: 'STATUS', 17: 'CTRL_VQ', 18: 'CTRL_RX', 19: 'CTRL_VLAN',
  20: 'CTRL_RX_EXTRA', 21: 'GUEST_ANNOUNCE', 22: 'MQ', 23: 'CTRL_MAC_ADDR', 52: 'HASH_REPORT', 56: 'RSS', 57: 'RSC_EXT', 59: 'GUEST_HDRLEN', 62: 'STANDBY',
  63: 'SPEED_DUPLEX',
};

const blockBits: Readonly<Record<number, string>> = {
  0: 'BARRIER', 1: 'SIZE_MAX', 2: 'SEG_MAX', 4: 'GEOMETRY', 5: 'RO', 6: 'BLK_SIZE', 7: 'SCSI', 9: 'FLUSH', 10: 'TOPOLOGY', 11: 'CONFIG_WCE', 12: 'MQ',
  13: 'DISCARD', 14: 'WRITE_ZEROES',
};

const transportBits: Readonly<Record<number, string>> = {
  24: 'NOTIFY_ON_EMPTY', 27: 'ANY_LAYOUT', 28: 'RING_INDIRECT_DESC', 29: 'RING_EVENT_IDX', 30: 'GUEST_PANIC', 32: 'VERSION_1', 33: 'ACCESS_PLATFORM',
  34: 'RING_PACKED', 35: 'IN_ORDER', 36: 'ORDER_PLATFORM', 37: 'SR_IOV', 38: 'NOTIFICATION_DATA',
};

/** Feature bits as words, lowest first; a bit without a name is `bit_N`, in JSON the number. */
export function featureNames(features: bigint, id: number): (string | number)[] {
  const own = id === VIRTIO_ID_NET ? netBits : id === 2 ? blockBits : {};
  const names: (string | number)[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((features & (1n << BigInt(bit))) === 0n) continue;
    names.push((bit >= 24 && bit <= 38 ? transportBits[bit] : own[bit]) ?? bit);
  }
  return names;
}

const featureText = (names: readonly (string | number)[]): string => names.map((n) => (typeof n === 'number' ? `bit_${n}` : n)).join(' ');

/** `pci/0000:07:00.2`, or the name alone of a manager without a bus. */
export function mgmtdevName(m: GenlMessage): string {
  const name = m.string(VDPA_ATTR_MGMTDEV_DEV_NAME);
  return m.has(VDPA_ATTR_MGMTDEV_BUS_NAME) ? `${m.string(VDPA_ATTR_MGMTDEV_BUS_NAME)}/${name}` : name;
}

/** A printed thing: its name, its text behind the name, its JSON. */
export interface Shown {
  readonly name: string;
  readonly text: string;
  readonly json: { readonly [key: string]: Json };
}

/** One management device. */
export function showMgmtdev(m: GenlMessage): Shown {
  const bits = m.u64(VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES);
  const ids = Array.from({ length: 64 }, (_, id) => id).filter((id) => (bits & (1n << BigInt(id))) !== 0n);
  const classes = ids.map((id) => classNames[id]?.[0] ?? `< unknown class >`);
  const vqs = m.number(VDPA_ATTR_DEV_MGMTDEV_MAX_VQS);
  const features = featureNames(m.u64(VDPA_ATTR_DEV_SUPPORTED_FEATURES), ids[0] ?? 0);
  return {
    name: mgmtdevName(m),
    text: ` \n  supported_classes ${classes.join(' ')}\n  max_supported_vqs ${vqs}\n  dev_features${features.length > 0 ? ` ${featureText(features)}` : ''}\n`,
    json: { supported_classes: classes, max_supported_vqs: vqs, dev_features: features },
  };
}

/** One device. */
export function showDevice(m: GenlMessage): Shown {
  const id = m.number(VDPA_ATTR_DEV_ID);
  const json = {
    type: classNames[id]?.[1] ?? `< unknown type >`, mgmtdev: mgmtdevName(m), vendor_id: m.number(VDPA_ATTR_DEV_VENDOR_ID),
    max_vqs: m.number(VDPA_ATTR_DEV_MAX_VQS), max_vq_size: m.number(VDPA_ATTR_DEV_MAX_VQ_SIZE),
  };
  return { name: m.string(VDPA_ATTR_DEV_NAME), text: ` ${Object.entries(json).map(([k, v]) => `${k} ${v}`).join(' ')}\n`, json };
}

/** One device's configuration. */
export function showConfig(m: GenlMessage): Shown {
  const json: Record<string, Json> = {};
  let text = ' ';
  const put = (key: string, value: Json, shown: string | number | boolean = value as string | number | boolean): void => {
    json[key] = value;
    text += `${key}${key.endsWith(' ') ? '' : ' '}${shown} `;
  };
  if (m.has(VDPA_ATTR_DEV_NET_CFG_MACADDR)) {
    put('mac', Array.from(m.bytes(VDPA_ATTR_DEV_NET_CFG_MACADDR), (b) => b.toString(16).padStart(2, '0')).join(':'));
  }
  if (m.has(VDPA_ATTR_DEV_NET_STATUS)) {
    const status = m.number(VDPA_ATTR_DEV_NET_STATUS);
    put('link ', (status & VIRTIO_NET_S_LINK_UP) === 0 ? 'down' : 'up');
    put('link_announce ', (status & VIRTIO_NET_S_ANNOUNCE) !== 0);
  }
  if (m.has(VDPA_ATTR_DEV_NET_CFG_MAX_VQP)) put('max_vq_pairs', m.number(VDPA_ATTR_DEV_NET_CFG_MAX_VQP));
  if (m.has(VDPA_ATTR_DEV_NET_CFG_MTU)) put('mtu', m.number(VDPA_ATTR_DEV_NET_CFG_MTU));
  if (m.has(VDPA_ATTR_DEV_NEGOTIATED_FEATURES)) {
    const names = featureNames(m.u64(VDPA_ATTR_DEV_NEGOTIATED_FEATURES), m.number(VDPA_ATTR_DEV_ID));
    json['negotiated_features'] = names;
    text += `\n  negotiated_features ${featureText(names)}`;
  }
  return { name: m.string(VDPA_ATTR_DEV_NAME), text: `${text}\n`, json };
}

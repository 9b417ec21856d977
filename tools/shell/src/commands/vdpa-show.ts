/** What the vdpa tool of iproute2 6.1 prints of each message. */
import type { GenlMessage } from '@vdpalab/user';
import {
  VDPA_ATTR_DEV_ID, VDPA_ATTR_DEV_MAX_VQS, VDPA_ATTR_DEV_MAX_VQ_SIZE, VDPA_ATTR_DEV_MGMTDEV_MAX_VQS, VDPA_ATTR_DEV_NAME,
  VDPA_ATTR_DEV_NEGOTIATED_FEATURES, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU,
  VDPA_ATTR_DEV_NET_STATUS, VDPA_ATTR_DEV_QUEUE_INDEX, VDPA_ATTR_DEV_SUPPORTED_FEATURES, VDPA_ATTR_DEV_VENDOR_ATTR_NAME,
  VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, VDPA_ATTR_DEV_VENDOR_ID, VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME,
  VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES, VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP,
} from '@vdpalab/uapi';
import type { Json } from './json.ts';
import { CLASS, featureNames, MGMT_CLASS } from './vdpa-names.ts';

/** A thing the tool shows, as text and as JSON. */
export interface Entry {
  readonly name: string;
  readonly text: string;
  readonly json: { readonly [key: string]: Json };
}

function handleOf(m: GenlMessage): string {
  return `${m.has(VDPA_ATTR_MGMTDEV_BUS_NAME) ? `${m.string(VDPA_ATTR_MGMTDEV_BUS_NAME)}/` : ''}${m.string(VDPA_ATTR_MGMTDEV_DEV_NAME)}`;
}

/** A management device. */
export function mgmtdevEntry(m: GenlMessage): Entry {
  const name = handleOf(m);
  const json: Record<string, Json> = {};
  let text = `${name}: \n`;
  let network = false;
  if (m.has(VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES)) {
    const mask = m.u64(VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES);
    const classes = Array.from({ length: 64 }, (_, id) => id).filter((id) => (mask & (1n << BigInt(id))) !== 0n);
    network = classes.includes(1);
    json['supported_classes'] = classes.map((id) => MGMT_CLASS[id] ?? 'unknown class');
    text += `  supported_classes ${json['supported_classes'].join(' ')}`;
  }
  if (m.has(VDPA_ATTR_DEV_MGMTDEV_MAX_VQS)) {
    json['max_supported_vqs'] = m.number(VDPA_ATTR_DEV_MGMTDEV_MAX_VQS);
    text += `\n  max_supported_vqs ${json['max_supported_vqs']}`;
  }
  if (m.has(VDPA_ATTR_DEV_SUPPORTED_FEATURES)) {
    const names = featureNames(m.u64(VDPA_ATTR_DEV_SUPPORTED_FEATURES), network);
    json['dev_features'] = names;
    text += `\n  dev_features${names.map((feature) => ` ${feature}`).join('')}`;
  }
  return { name, json, text: `${text}\n` };
}

/** A device. */
export function deviceEntry(m: GenlMessage): Entry {
  const name = m.string(VDPA_ATTR_DEV_NAME);
  const json: Record<string, Json> = {
    type: CLASS[m.number(VDPA_ATTR_DEV_ID)] ?? 'unknown class',
    mgmtdev: handleOf(m),
    vendor_id: m.number(VDPA_ATTR_DEV_VENDOR_ID),
    max_vqs: m.number(VDPA_ATTR_DEV_MAX_VQS),
    max_vq_size: m.number(VDPA_ATTR_DEV_MAX_VQ_SIZE),
  };
  return { name, json, text: `${name}: ${Object.entries(json).map(([key, value]) => `${key} ${String(value)}`).join(' ')}\n` };
}

/** A device's configuration. */
export function configEntry(m: GenlMessage): Entry {
  const name = m.string(VDPA_ATTR_DEV_NAME);
  const json: Record<string, Json> = {};
  let text = `${name}: `;
  if (m.has(VDPA_ATTR_DEV_NET_CFG_MACADDR)) {
    json['mac'] = [...m.bytes(VDPA_ATTR_DEV_NET_CFG_MACADDR)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
    text += `mac ${json['mac']} `;
  }
  if (m.has(VDPA_ATTR_DEV_NET_STATUS)) {
    const status = m.number(VDPA_ATTR_DEV_NET_STATUS);
    json['link '] = (status & VIRTIO_NET_S_LINK_UP) !== 0 ? 'up' : 'down'; // the blank is iproute2's
    json['link_announce '] = (status & VIRTIO_NET_S_ANNOUNCE) !== 0;
    text += `link ${json['link ']} link_announce ${String(json['link_announce '])} `;
  }
  if (m.has(VDPA_ATTR_DEV_NET_CFG_MAX_VQP)) {
    json['max_vq_pairs'] = m.number(VDPA_ATTR_DEV_NET_CFG_MAX_VQP);
    text += `max_vq_pairs ${json['max_vq_pairs']} `;
  }
  if (m.has(VDPA_ATTR_DEV_NET_CFG_MTU)) {
    json['mtu'] = m.number(VDPA_ATTR_DEV_NET_CFG_MTU);
    text += `mtu ${json['mtu']} `;
  }
  if (m.has(VDPA_ATTR_DEV_NEGOTIATED_FEATURES)) {
    const names = featureNames(m.u64(VDPA_ATTR_DEV_NEGOTIATED_FEATURES), m.number(VDPA_ATTR_DEV_ID) === 1);
    json['negotiated_features'] = names;
    text += `\n  negotiated_features${names.map((feature) => ` ${feature}`).join('')}`;
  }
  return { name, json, text: `${text}\n` };
}

/** A queue's statistics. */
export function statsEntry(m: GenlMessage): Entry {
  const name = m.string(VDPA_ATTR_DEV_NAME);
  const index = m.number(VDPA_ATTR_DEV_QUEUE_INDEX);
  const pairs = m.has(VDPA_ATTR_DEV_NET_CFG_MAX_VQP) ? m.number(VDPA_ATTR_DEV_NET_CFG_MAX_VQP) : 1;
  const mq = (m.u64(VDPA_ATTR_DEV_NEGOTIATED_FEATURES) & (1n << 22n)) !== 0n;
  const control = (mq ? pairs : 1) * 2;
  const json: Record<string, Json> = { queue_type: index === control ? 'control_vq' : index % 2 === 0 ? 'rx' : 'tx' };
  let key = '';
  for (const attr of m.attrs) {
    if (attr.type === VDPA_ATTR_DEV_VENDOR_ATTR_NAME) key = new TextDecoder().decode(attr.payload).replace(/\0+$/, '');
    if (attr.type === VDPA_ATTR_DEV_VENDOR_ATTR_VALUE) json[key] = attr.payload.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);
  }
  return { name, json, text: `${name}: \n${name}: ${Object.entries(json).map(([field, value]) => `${field} ${String(value)}`).join(' ')}\n` };
}

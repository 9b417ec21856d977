/** What the vdpa tool of iproute2 6.1 prints of each message. */
import type { GenlMessage } from '@vdpalab/user';
import {
  VDPA_ATTR_DEV_ID, VDPA_ATTR_DEV_MAX_VQS, VDPA_ATTR_DEV_MAX_VQ_SIZE, VDPA_ATTR_DEV_MGMTDEV_MAX_VQS, VDPA_ATTR_DEV_NAME,
  VDPA_ATTR_DEV_NEGOTIATED_FEATURES, VDPA_ATTR_DEV_NET_CFG_MACADDR, VDPA_ATTR_DEV_NET_CFG_MAX_VQP, VDPA_ATTR_DEV_NET_CFG_MTU,
  VDPA_ATTR_DEV_NET_STATUS, VDPA_ATTR_DEV_QUEUE_INDEX, VDPA_ATTR_DEV_SUPPORTED_FEATURES, VDPA_ATTR_DEV_VENDOR_ATTR_NAME,
  VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, VDPA_ATTR_DEV_VENDOR_ID, VDPA_ATTR_MGMTDEV_BUS_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME,
  VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES, VIRTIO_ID_NET, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP, utf8Decode, utf8Encode,
} from '@vdpalab/uapi';
import { Printer } from './print.ts';
import { CLASS, featureNames, MGMT_CLASS } from './vdpa-names.ts';

/** Bytes of the buffer a device's name is formatted in, its zero included. */
const NAME_BUFFER = 64;

/** The tool wrote past a buffer of its own and was ended by SIGABRT: what it had buffered is lost. */
export class BufferOverflow {}

/** What a command shows. */
export class VdpaPrinter extends Printer {
  /** Everything a command shows; JSON is well-formed when the command fails too. */
  async section(name: string, body: () => Promise<void>): Promise<void> {
    this.json?.startObject().name(name).startObject();
    try {
      await body();
    } finally {
      this.json?.endObject().endObject();
    }
  }

  /** One thing by name. @throws BufferOverflow */
  entry(name: string, body: () => void): void {
    if (utf8Encode(name).length >= NAME_BUFFER) throw new BufferOverflow();
    this.text(`${name}: `);
    this.object(name, body);
    this.text('\n');
  }
}

function handleOf(m: GenlMessage): string {
  return `${m.has(VDPA_ATTR_MGMTDEV_BUS_NAME) ? `${m.string(VDPA_ATTR_MGMTDEV_BUS_NAME)}/` : ''}${m.string(VDPA_ATTR_MGMTDEV_DEV_NAME)}`;
}

/** Bits without a name are numbers in JSON. */
function printFeatures(p: VdpaPrinter, key: string, features: bigint, network: boolean): void {
  const all = featureNames(features, network);
  p.list(key, all.map(({ bit, name }) => name ?? bit), `\n  ${key}${all.map(({ bit, name }) => ` ${name ?? `bit_${bit}`}`).join('')}`);
}

/** A management device. */
export function printMgmtdev(p: VdpaPrinter, m: GenlMessage): void {
  p.entry(handleOf(m), () => {
    let network = false;
    if (m.has(VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES)) {
      const mask = m.u64(VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES);
      const ids = Array.from({ length: 64 }, (_, id) => id).filter((id) => (mask & (1n << BigInt(id))) !== 0n);
      network = ids.includes(VIRTIO_ID_NET);
      const names = ids.map((id) => MGMT_CLASS[id] ?? '< unknown class >');
      p.list('supported_classes', names, `\n  supported_classes ${names.join(' ')}`);
    }
    if (m.has(VDPA_ATTR_DEV_MGMTDEV_MAX_VQS)) {
      const most = m.number(VDPA_ATTR_DEV_MGMTDEV_MAX_VQS);
      p.field('max_supported_vqs', most, `\n  max_supported_vqs ${most}`);
    }
    if (m.has(VDPA_ATTR_DEV_SUPPORTED_FEATURES)) {
      printFeatures(p, 'dev_features', m.u64(VDPA_ATTR_DEV_SUPPORTED_FEATURES), network);
    }
  });
}

/** A device. */
export function printDevice(p: VdpaPrinter, m: GenlMessage): void {
  p.entry(m.string(VDPA_ATTR_DEV_NAME), () => {
    const type = CLASS[m.number(VDPA_ATTR_DEV_ID)] ?? '<unknown type>';
    p.field('type', type, `type ${type}`);
    p.field('mgmtdev', handleOf(m), ` mgmtdev ${handleOf(m)}`);
    const numbers = [['vendor_id', VDPA_ATTR_DEV_VENDOR_ID], ['max_vqs', VDPA_ATTR_DEV_MAX_VQS], ['max_vq_size', VDPA_ATTR_DEV_MAX_VQ_SIZE]] as const;
    for (const [key, attr] of numbers) if (m.has(attr)) p.field(key, m.number(attr), ` ${key} ${m.number(attr)}`);
  });
}

/** A device's configuration. */
export function printConfig(p: VdpaPrinter, m: GenlMessage): void {
  p.entry(m.string(VDPA_ATTR_DEV_NAME), () => {
    if (m.has(VDPA_ATTR_DEV_NET_CFG_MACADDR)) {
      const mac = [...m.bytes(VDPA_ATTR_DEV_NET_CFG_MACADDR)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
      p.field('mac', mac, `mac ${mac} `);
    }
    if (m.has(VDPA_ATTR_DEV_NET_STATUS)) {
      const status = m.number(VDPA_ATTR_DEV_NET_STATUS);
      const link = (status & VIRTIO_NET_S_LINK_UP) !== 0 ? 'up' : 'down';
      const announce = (status & VIRTIO_NET_S_ANNOUNCE) !== 0;
      p.field('link ', link, `link ${link} `); // the blank is iproute2's
      p.field('link_announce ', announce, `link_announce ${announce} `);
    }
    const numbers = [['max_vq_pairs', VDPA_ATTR_DEV_NET_CFG_MAX_VQP], ['mtu', VDPA_ATTR_DEV_NET_CFG_MTU]] as const;
    for (const [key, attr] of numbers) if (m.has(attr)) p.field(key, m.number(attr), `${key} ${m.number(attr)} `);
    if (m.has(VDPA_ATTR_DEV_NEGOTIATED_FEATURES)) {
      printFeatures(p, 'negotiated_features', m.u64(VDPA_ATTR_DEV_NEGOTIATED_FEATURES), m.number(VDPA_ATTR_DEV_ID) === VIRTIO_ID_NET);
    }
  });
}

/** A queue's statistics. */
export function printStats(p: VdpaPrinter, m: GenlMessage): void {
  const index = m.number(VDPA_ATTR_DEV_QUEUE_INDEX);
  const hasControl = (m.u64(VDPA_ATTR_DEV_NEGOTIATED_FEATURES) & (1n << BigInt(VIRTIO_NET_F_CTRL_VQ))) !== 0n;
  const type = hasControl && index === 2 * m.number(VDPA_ATTR_DEV_NET_CFG_MAX_VQP) ? 'control_vq' : index % 2 === 0 ? 'rx' : 'tx';
  p.entry(m.string(VDPA_ATTR_DEV_NAME), () => {
    p.field('queue_type', type, `queue_type ${type} `);
    let key = '';
    for (const attr of m.attrs) {
      if (attr.type === VDPA_ATTR_DEV_VENDOR_ATTR_NAME) key = utf8Decode(attr.payload).replace(/\0+$/, '');
      if (attr.type !== VDPA_ATTR_DEV_VENDOR_ATTR_VALUE) continue;
      const value = attr.payload.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);
      p.field(key, value, `${key} ${value} `);
    }
  });
}

/** A plain virtio network function, as QEMU's `virtio-net-pci`. */
import {
  PCI_CLASS_NETWORK_ETHERNET, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1, VIRTIO_ID_NET,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_TRANS_ID_NET, virtio_net_config,
} from '@vdpalab/uapi';
import type { ModelContext } from '../pci/model.ts';
import { newNetCounters } from './counters.ts';
import type { NetCounters } from './counters.ts';
import { NetFunction } from './net-function.ts';
import { defaultMac, macBytes } from './net-settings.ts';
import { interfacesOf } from './plain-config.ts';
import type { VirtioNetConfig } from './plain-config.ts';
import { plainParts } from './plain-layout.ts';
import type { PlainShape } from './plain-layout.ts';
import { PlainRegisters } from './plain-registers.ts';

const MAC_SIZE = 6;

/** MTU of a function whose lab file says none; it is not offered then. */
const MTU = 1500;

/** What it offers; QEMU's offers the same. */
function features(config: VirtioNetConfig, shape: PlainShape): readonly number[] {
  return [
    VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR,
    VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
    ...(config.mtu === undefined ? [] : [VIRTIO_NET_F_MTU]),
    ...(config.mrg_rxbuf === false ? [] : [VIRTIO_NET_F_MRG_RXBUF]),
    ...(config.queue_pairs > 1 ? [VIRTIO_NET_F_MQ] : []),
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
    ...(shape.modern ? [VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET] : []),
    ...(shape.platform ? [VIRTIO_F_ACCESS_PLATFORM] : []),
    ...(shape.packed ? [VIRTIO_F_RING_PACKED] : []),
  ];
}

function shapeOf(config: VirtioNetConfig, bus: number): PlainShape {
  const queues = 2 * config.queue_pairs + 1;
  return {
    ...interfacesOf(config, bus), type: VIRTIO_ID_NET, transitionalId: VIRTIO_TRANS_ID_NET, classCode: PCI_CLASS_NETWORK_ETHERNET,
    queues, configSize: virtio_net_config.offsets.mtu + 2, vectors: config.vectors ?? queues + 1,
  };
}

/** The function: queue pairs and a control queue. */
export class VirtioNetFunction extends NetFunction<NetCounters> {
  private readonly registers: PlainRegisters;

  constructor(context: ModelContext, config: VirtioNetConfig) {
    const { site, multifunction } = context;
    const shape = shapeOf(config, site.bus);
    const mac = config.mac === undefined ? defaultMac(site.bus, site.devfn) : macBytes(config.mac);
    super(site, plainParts(shape, multifunction), {
      counters: newNetCounters(), features: features(config, shape), queues: shape.queues, queueSize: config.queue_size,
    }, { queuePairs: config.queue_pairs, queueSize: config.queue_size, mtu: config.mtu ?? MTU, mac, promisc: config.promisc ?? true });
    this.registers = new PlainRegisters(shape, {
      common: this.common,
      msix: this.msix,
      config: {
        read: (offset, size) => this.net.read(offset, size),
        write: (offset, size, value) => this.writeConfig(offset, size, value),
      },
      takeIsr: () => this.interrupts.takeIsr(),
      kick: (queue, doorbell) => this.kick(queue, doorbell),
    });
    if (config.link !== undefined) this.plug(context.networks.get(config.link)?.attach(this.bdf) ?? null);
  }

  readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    return this.registers.read(bar, offset, size);
  }

  writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    return this.registers.write(bar, offset, size, value);
  }

  /** The address may be written by drivers of before virtio 1.0, which have no other way. */
  private writeConfig(offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (this.common.negotiated(VIRTIO_F_VERSION_1) || offset + size > MAC_SIZE) return;
    const mac = this.net.bytes.slice(0, MAC_SIZE);
    for (let i = 0; i < size; i++) mac[offset + i] = value >>> (8 * i);
    this.net.setMac(mac);
  }
}

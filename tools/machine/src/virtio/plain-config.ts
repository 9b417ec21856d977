/** What the lab file says of a plain virtio function; keys are the lab file's, and QEMU's properties where it has them. */

/** What every plain function may say. */
interface PlainConfig {
  /** `00:04.0` */
  readonly at: string;
  /** Without the legacy interface: when absent, behind a root port only. */
  readonly disable_legacy?: boolean | undefined;
  /** Without the modern interface. */
  readonly disable_modern?: boolean | undefined;
  /** DMA goes through the platform IOMMU and ACCESS_PLATFORM says so; when absent, on functions without the legacy interface. */
  readonly iommu_platform?: boolean | undefined;
  /** A page for each doorbell, so that processes can map them. */
  readonly page_per_vq?: boolean | undefined;
  /** VIRTIO_F_RING_PACKED is offered. */
  readonly packed?: boolean | undefined;
  /** All doorbells in one I/O port as well, which drivers then take. */
  readonly modern_pio_notify?: boolean | undefined;
  /** MSI-X vectors, 0 for none; when absent, one for each queue and one for the configuration. */
  readonly vectors?: number | undefined;
  readonly queue_size: number;
}

/** A plain network function. */
export interface VirtioNetConfig extends PlainConfig {
  readonly model: 'virtio-net';
  readonly queue_pairs: number;
  /** Offered when it is there: bytes, 1500 else. */
  readonly mtu?: number | undefined;
  readonly mac?: string | undefined;
  /** Network the function is plugged into. */
  readonly link?: string | undefined;
  /** Take frames for any address; true when absent. */
  readonly promisc?: boolean | undefined;
  /** Buffers of a frame may be merged; true when absent. */
  readonly mrg_rxbuf?: boolean | undefined;
}

/** A plain block function. */
export interface VirtioBlkConfig extends PlainConfig {
  readonly model: 'virtio-blk';
  /** Bytes of the disk, a multiple of 512. */
  readonly capacity: number;
  readonly num_queues: number;
  /** At most 20 bytes. */
  readonly serial: string;
  readonly read_only: boolean;
}

/** Which interfaces a function has, and how it reaches memory. */
export interface PlainInterfaces {
  readonly legacy: boolean;
  readonly modern: boolean;
  readonly platform: boolean;
  readonly pagePerVq: boolean;
  readonly packed: boolean;
  /** An I/O port in which a queue's number rings its doorbell. */
  readonly portNotify: boolean;
}

/**
 * Settle what the lab file leaves open, as QEMU's `auto` does: a function behind a root port has no legacy interface.
 *
 * @param bus the function's
 * @throws RangeError when no interface is left, or a legacy one is to go through the IOMMU
 */
export function interfacesOf(config: VirtioNetConfig | VirtioBlkConfig, bus: number): PlainInterfaces {
  const legacy = !(config.disable_legacy ?? bus !== 0);
  const modern = config.disable_modern !== true;
  if (!legacy && !modern) throw new RangeError(`${config.at}: ${config.model} without the legacy and the modern interface`);
  if (legacy && config.iommu_platform === true) {
    throw new RangeError(`${config.at}: VIRTIO_F_ACCESS_PLATFORM is offered by functions without the legacy interface only`);
  }
  return {
    legacy, modern, platform: config.iommu_platform ?? !legacy, pagePerVq: config.page_per_vq === true,
    packed: modern && config.packed === true,
    portNotify: modern && config.modern_pio_notify === true,
  };
}

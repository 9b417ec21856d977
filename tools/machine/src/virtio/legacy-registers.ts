/**
 * The legacy interface, virtio 0.9.5: one block of I/O ports. It has registers of its own for nothing: each is one of the
 * common configuration in other clothes.
 *
 * @see virtio 1.2, sections 4.1.4.8 and 2.7.2 (ring layout)
 */
import {
  VIRTIO_F_ANY_LAYOUT, VIRTIO_MSI_CONFIG_VECTOR, VIRTIO_MSI_QUEUE_VECTOR, VIRTIO_PCI_COMMON_GF, VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_PCI_COMMON_MSIX,
  VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_ENABLE, VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_PCI_COMMON_Q_SELECT,
  VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_PCI_COMMON_STATUS, VIRTIO_PCI_CONFIG_OFF, VIRTIO_PCI_GUEST_FEATURES, VIRTIO_PCI_HOST_FEATURES,
  VIRTIO_PCI_ISR, VIRTIO_PCI_QUEUE_ADDR_SHIFT, VIRTIO_PCI_QUEUE_NOTIFY, VIRTIO_PCI_QUEUE_NUM, VIRTIO_PCI_QUEUE_PFN,
  VIRTIO_PCI_QUEUE_SEL, VIRTIO_PCI_STATUS, VIRTIO_PCI_VRING_ALIGN, vring_avail_size, vring_desc_table_size,
} from '@vdpalab/uapi';
import type { RegisterFace } from './plain-registers.ts';

const TWO_32 = 0x1_0000_0000;
type Size = 1 | 2 | 4;

/** The block of ports. */
export class LegacyRegisters {
  private readonly face: RegisterFace;

  constructor(face: RegisterFace) {
    this.face = face;
  }

  read(offset: number, size: Size): number {
    const { common, msix } = this.face;
    const config = VIRTIO_PCI_CONFIG_OFF(msix?.on === true);
    if (offset >= config) return this.face.config.read(offset - config, size);
    switch (offset) {
      // Chains may be cut anywhere; what is so in virtio 1.0 needs a feature here, and only here.
      case VIRTIO_PCI_HOST_FEATURES: return (common.offered.lo | (1 << VIRTIO_F_ANY_LAYOUT)) >>> 0;
      case VIRTIO_PCI_GUEST_FEATURES: return common.driverLo;
      case VIRTIO_PCI_QUEUE_PFN: return this.pageFrame();
      case VIRTIO_PCI_QUEUE_NUM: return common.read(VIRTIO_PCI_COMMON_Q_SIZE, 2);
      case VIRTIO_PCI_QUEUE_SEL: return common.read(VIRTIO_PCI_COMMON_Q_SELECT, 2);
      case VIRTIO_PCI_STATUS: return common.status;
      case VIRTIO_PCI_ISR: return this.face.takeIsr();
      case VIRTIO_MSI_CONFIG_VECTOR: return common.read(VIRTIO_PCI_COMMON_MSIX, 2);
      case VIRTIO_MSI_QUEUE_VECTOR: return common.read(VIRTIO_PCI_COMMON_Q_MSIX, 2);
      default: return 0;
    }
  }

  write(offset: number, size: Size, value: number): undefined {
    const { common, msix } = this.face;
    const config = VIRTIO_PCI_CONFIG_OFF(msix?.on === true);
    if (offset >= config) this.face.config.write(offset - config, size, value);
    else if (offset === VIRTIO_PCI_GUEST_FEATURES) {
      common.write(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
      common.write(VIRTIO_PCI_COMMON_GF, 4, value);
    } else if (offset === VIRTIO_PCI_QUEUE_PFN) this.setPageFrame(value);
    else if (offset === VIRTIO_PCI_QUEUE_SEL) common.write(VIRTIO_PCI_COMMON_Q_SELECT, 2, value);
    else if (offset === VIRTIO_PCI_QUEUE_NOTIFY) this.face.kick(value);
    else if (offset === VIRTIO_PCI_STATUS) common.write(VIRTIO_PCI_COMMON_STATUS, 1, value);
    else if (offset === VIRTIO_MSI_CONFIG_VECTOR) common.write(VIRTIO_PCI_COMMON_MSIX, 2, value);
    else if (offset === VIRTIO_MSI_QUEUE_VECTOR) common.write(VIRTIO_PCI_COMMON_Q_MSIX, 2, value);
  }

  private pageFrame(): number {
    const { common } = this.face;
    if (common.read(VIRTIO_PCI_COMMON_Q_ENABLE, 2) === 0) return 0;
    const high = common.read(VIRTIO_PCI_COMMON_Q_DESCLO + 4, 4);
    return (high * TWO_32 + common.read(VIRTIO_PCI_COMMON_Q_DESCLO, 4)) / 2 ** VIRTIO_PCI_QUEUE_ADDR_SHIFT;
  }

  /** A page frame starts the queue there, in the one layout there is; none stops it. */
  private setPageFrame(frame: number): undefined {
    const { common } = this.face;
    common.write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
    if (frame === 0) return;
    const num = common.read(VIRTIO_PCI_COMMON_Q_SIZE, 2);
    const desc = frame * 2 ** VIRTIO_PCI_QUEUE_ADDR_SHIFT;
    const avail = desc + vring_desc_table_size(num);
    const used = Math.ceil((avail + vring_avail_size(num)) / VIRTIO_PCI_VRING_ALIGN) * VIRTIO_PCI_VRING_ALIGN;
    for (const [i, address] of [desc, avail, used].entries()) {
      common.write(VIRTIO_PCI_COMMON_Q_DESCLO + 8 * i, 4, address % TWO_32);
      common.write(VIRTIO_PCI_COMMON_Q_DESCLO + 8 * i + 4, 4, Math.floor(address / TWO_32));
    }
    common.write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
  }
}

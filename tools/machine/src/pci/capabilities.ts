/** Capabilities as bytes in a configuration image. */
import {
  PCI_ACS_CAP, PCI_ACS_CR, PCI_ARI_CAP, PCI_ACS_CTRL, PCI_ACS_RR, PCI_ACS_SV, PCI_ACS_UF,
  PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX, PCI_CAP_ID_VNDR, PCI_CAP_MSIX_SIZEOF,
  PCI_EXP_DEVCAP, PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_ARI, PCI_EXP_DEVCAP_FLR, PCI_EXP_DEVCAP_RBER, PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL_BCR_FLR, PCI_EXP_DEVSTA, PCI_EXP_FLAGS, PCI_EXP_LNKCAP, PCI_EXP_LNKCAP2,
  PCI_EXP_LNKCTL, PCI_EXP_LNKCTL2, PCI_EXP_LNKSTA, PCI_EXP_RTCTL, PCI_EXP_SLTCAP2, PCI_EXP_SLTSTA2, PCI_EXP_TYPE_ENDPOINT, PCI_EXP_TYPE_ROOT_PORT,
  PCI_EXT_CAP_ARI_SIZEOF, PCI_EXT_CAP_ID_ACS, PCI_EXT_CAP_ID_ARI,
  PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, PCI_MSIX_FLAGS_MASKALL, PCI_MSIX_PBA, PCI_MSIX_TABLE,
  VIRTIO_PCI_CAP_BAR, VIRTIO_PCI_CAP_CFG_TYPE, VIRTIO_PCI_CAP_LEN, VIRTIO_PCI_CAP_LENGTH, VIRTIO_PCI_CAP_NOTIFY_CFG,
  VIRTIO_PCI_CAP_OFFSET, VIRTIO_PCI_NOTIFY_CAP_MULT, virtio_pci_cap, virtio_pci_notify_cap,
} from '@vdpalab/uapi';
import type { ConfigImage } from './config-image.ts';

/** Version field of a PCI Express capability of today. */
const EXP_VERSION = 2;
/** Payload of 256 bytes: value 1 of a three-bit field. */
const PAYLOAD_256 = 1;
/** 8 GT/s, the third speed; 16 lanes. */
const SPEED_8GT = 3;
const WIDTH_16 = 16 << 4;
/** Speeds 2.5, 5 and 8 GT/s in LNKCAP2. */
const SPEEDS = 0x0e;
/** ACS control of a root port: source validation, request and completion redirect, upstream forwarding. */
const ACS_PORT = PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF;

/**
 * PCI Express of an endpoint: function level reset, 8 GT/s by 16.
 *
 * @returns the capability's offset
 */
export function endpointCapability(image: ConfigImage): number {
  const at = expressCapability(image, PCI_EXP_TYPE_ENDPOINT, PCI_EXP_SLTCAP2);
  image.put(at + PCI_EXP_DEVCAP, 4, PAYLOAD_256 | PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR);
  image.put(at + PCI_EXP_DEVCTL, 2, 0x2810, 0x7fff | PCI_EXP_DEVCTL_BCR_FLR);
  return at;
}

/**
 * PCI Express of a root port, with ARI forwarding.
 *
 * @returns the capability's offset
 */
export function rootPortCapability(image: ConfigImage): number {
  const at = expressCapability(image, PCI_EXP_TYPE_ROOT_PORT, PCI_EXP_SLTSTA2 + 2);
  image.put(at + PCI_EXP_DEVCAP, 4, PAYLOAD_256 | PCI_EXP_DEVCAP_RBER);
  image.put(at + PCI_EXP_DEVCTL, 2, 0x2810, 0x7fff);
  image.put(at + PCI_EXP_RTCTL, 2, 0, 0x1f);
  image.put(at + PCI_EXP_DEVCAP2, 4, PCI_EXP_DEVCAP2_ARI);
  image.put(at + PCI_EXP_DEVCTL2, 2, 0, 0xffff);
  return at;
}

function expressCapability(image: ConfigImage, type: number, length: number): number {
  const at = image.capability(PCI_CAP_ID_EXP, length);
  image.put(at + PCI_EXP_FLAGS, 2, EXP_VERSION | (type << 4));
  image.clearedByOnes(at + PCI_EXP_DEVSTA, 2, 0x000f);
  image.put(at + PCI_EXP_LNKCAP, 4, SPEED_8GT | WIDTH_16);
  image.put(at + PCI_EXP_LNKCTL, 2, 0, 0x0fff);
  image.put(at + PCI_EXP_LNKSTA, 2, SPEED_8GT | WIDTH_16);
  image.put(at + PCI_EXP_LNKCAP2, 4, SPEEDS);
  image.put(at + PCI_EXP_LNKCTL2, 2, SPEED_8GT, 0x000f); // a target speed at reset is the highest there is
  return at;
}

/** Where a structure lies: BAR and byte offset in it. */
export interface BarPlace {
  readonly bar: number;
  readonly offset: number;
}

/**
 * MSI-X.
 *
 * @param vectors 1 to 2048
 * @param table where the table lies, 8-byte aligned
 * @param pba where the pending bits lie, 8-byte aligned
 * @returns the capability's offset
 */
export function msixCapability(image: ConfigImage, vectors: number, table: BarPlace, pba: BarPlace): number {
  const at = image.capability(PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
  image.put(at + PCI_MSIX_FLAGS, 2, vectors - 1, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
  image.put(at + PCI_MSIX_TABLE, 4, table.offset | table.bar);
  image.put(at + PCI_MSIX_PBA, 4, pba.offset | pba.bar);
  return at;
}

/**
 * The vendor capability that says where a virtio structure lies (virtio 1.2, section 4.1.4).
 *
 * @param type VIRTIO_PCI_CAP_*
 * @param length bytes of the structure
 * @param multiplier `notify_off_multiplier` in bytes, for the notification structure only
 * @returns the capability's offset
 */
export function virtioCapability(
  image: ConfigImage, type: number, place: BarPlace, length: number, multiplier = 0,
): number {
  const size = type === VIRTIO_PCI_CAP_NOTIFY_CFG ? virtio_pci_notify_cap.size : virtio_pci_cap.size;
  const at = image.capability(PCI_CAP_ID_VNDR, size);
  image.put(at + VIRTIO_PCI_CAP_LEN, 1, size);
  image.put(at + VIRTIO_PCI_CAP_CFG_TYPE, 1, type);
  image.put(at + VIRTIO_PCI_CAP_BAR, 1, place.bar);
  image.put(at + VIRTIO_PCI_CAP_OFFSET, 4, place.offset);
  image.put(at + VIRTIO_PCI_CAP_LENGTH, 4, length);
  if (type === VIRTIO_PCI_CAP_NOTIFY_CFG) image.put(at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, multiplier);
  return at;
}

/** Bytes of an ACS capability without an egress vector. */
const ACS_SIZE = 8;

/**
 * Access control services.
 *
 * @param port whether it is a root port's; an endpoint's has nothing to redirect and says only that
 * @returns the capability's offset
 */
export function acsCapability(image: ConfigImage, port: boolean): number {
  const at = image.extended(PCI_EXT_CAP_ID_ACS, 1, ACS_SIZE);
  const bits = port ? ACS_PORT : 0;
  image.put(at + PCI_ACS_CAP, 2, bits);
  image.put(at + PCI_ACS_CTRL, 2, 0, bits);
  return at;
}

/**
 * Alternative routing ids: functions above 7.
 *
 * @param next number of the device's next physical function, 0 for none
 * @returns the capability's offset
 */
export function ariCapability(image: ConfigImage, next = 0): number {
  const at = image.extended(PCI_EXT_CAP_ID_ARI, 1, PCI_EXT_CAP_ARI_SIZEOF);
  image.put(at + PCI_ARI_CAP, 2, next << 8);
  return at;
}

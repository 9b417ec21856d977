/** Where a plain virtio function's registers lie, and its configuration space: both as QEMU's have them. */
import {
  PCI_BASE_ADDRESS_0, PCI_HEADER_TYPE, PCI_VENDOR_ID_REDHAT_QUMRANET, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_DEVICE_CFG,
  VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_CONFIG_OFF,
} from '@vdpalab/uapi';
import { describeBars } from '../pci/bars.ts';
import type { BarSpec } from '../pci/bars.ts';
import { endpointCapability, msixCapability, virtioCapability } from '../pci/capabilities.ts';
import { ConfigImage } from '../pci/config-image.ts';
import { describeHeader, describePin } from '../pci/function.ts';
import type { FunctionIds, FunctionParts } from '../pci/function.ts';
import type { PlainInterfaces } from './plain-config.ts';

/** BAR of the legacy registers, in I/O space. */
export const BAR_LEGACY = 0;
/** BAR of the MSI-X table and pending bits. */
export const BAR_MSIX = 1;
/** BAR of the doorbell in I/O space. */
export const BAR_PORT_NOTIFY = 2;
/** BAR of the modern structures, 64-bit. */
export const BAR_MODERN = 4;

/** Offsets in the modern BAR; each structure has a page, so its window is 4096 bytes. */
export const PLAIN_COMMON = 0x0000;
export const PLAIN_ISR = 0x1000;
export const PLAIN_DEVICE = 0x2000;
export const PLAIN_NOTIFY = 0x3000;
const WINDOW = 0x1000;
/** `notify_off_multiplier`: bytes from one doorbell to the next. */
const NOTIFY_PACKED = 4;
const NOTIFY_PAGE = 4096;
/** Bytes of the doorbell in I/O space. */
const PORT_NOTIFY_SIZE = 4;

/** Offset of the pending bits in the MSI-X BAR. */
export const PLAIN_PBA = 0x800;
/** Vectors whose table ends before the pending bits. */
export const MAX_VECTORS = PLAIN_PBA / 16;

const MULTIFUNCTION = 0x80;
/** Device ids: transitional ones from 0x1000, modern ones from 0x1040 plus the virtio id. */
const MODERN_BASE = 0x1040;
/** Subsystem id of QEMU's modern functions; that of transitional ones is the virtio id. */
const QEMU_SUBSYSTEM = 0x1100;

/** What decides a plain function's configuration space. */
export interface PlainShape extends PlainInterfaces {
  /** VIRTIO_ID_* */
  readonly type: number;
  /** PCI device id of a function with a legacy interface. */
  readonly transitionalId: number;
  /** Base class and subclass. */
  readonly classCode: number;
  readonly queues: number;
  /** Bytes of the device configuration in the legacy BAR. */
  readonly configSize: number;
  /** MSI-X vectors, 0 for none. */
  readonly vectors: number;
}

/** Bytes from one doorbell to the next. */
export function doorbellStride(shape: Pick<PlainShape, 'pagePerVq'>): number {
  return shape.pagePerVq ? NOTIFY_PAGE : NOTIFY_PACKED;
}

/** A function's ids. */
export function plainIds({ legacy, type, transitionalId, classCode }: PlainShape): FunctionIds {
  const vendor = PCI_VENDOR_ID_REDHAT_QUMRANET;
  return legacy
    ? { vendor, device: transitionalId, subvendor: vendor, subdevice: type, classCode, revision: 0 }
    : { vendor, device: MODERN_BASE + type, subvendor: vendor, subdevice: QEMU_SUBSYSTEM, classCode, revision: 1 };
}

/** A function's BARs. */
export function plainBars(shape: PlainShape): readonly BarSpec[] {
  const powerOfTwo = (bytes: number): number => 2 ** Math.ceil(Math.log2(bytes));
  const doorbells = Math.max(WINDOW, shape.queues * doorbellStride(shape));
  return [
    ...(shape.legacy
      ? [{ index: BAR_LEGACY, io: true, size: powerOfTwo(VIRTIO_PCI_CONFIG_OFF(true) + shape.configSize), wide: false, prefetch: false }]
      : []),
    ...(shape.vectors > 0 ? [{ index: BAR_MSIX, size: WINDOW, wide: false, prefetch: false }] : []),
    ...(shape.portNotify ? [{ index: BAR_PORT_NOTIFY, io: true, size: PORT_NOTIFY_SIZE, wide: false, prefetch: false }] : []),
    ...(shape.modern ? [{ index: BAR_MODERN, size: powerOfTwo(PLAIN_NOTIFY + doorbells), wide: true, prefetch: true }] : []),
  ];
}

/** A function's parts. @param multifunction whether others share its device number */
export function plainParts(shape: PlainShape, multifunction: boolean): FunctionParts {
  const image = new ConfigImage();
  describeHeader(image, plainIds(shape), true, shape.legacy);
  describePin(image);
  if (multifunction) image.put(PCI_HEADER_TYPE, 1, MULTIFUNCTION);
  const bars = plainBars(shape);
  describeBars(image, PCI_BASE_ADDRESS_0, bars);
  if (shape.modern) describeModern(image, shape);
  const msix = shape.vectors === 0 ? null : {
    at: msixCapability(image, shape.vectors, { bar: BAR_MSIX, offset: 0 }, { bar: BAR_MSIX, offset: PLAIN_PBA }),
    count: shape.vectors,
  };
  const express = shape.legacy ? 0 : endpointCapability(image);
  return { layout: image.build(express === 0 ? 256 : 4096), bars, express, msix, bypassIommu: !shape.platform };
}

function describeModern(image: ConfigImage, shape: PlainShape): undefined {
  const place = (offset: number): { readonly bar: number; readonly offset: number } => ({ bar: BAR_MODERN, offset });
  const stride = doorbellStride(shape);
  virtioCapability(image, VIRTIO_PCI_CAP_COMMON_CFG, place(PLAIN_COMMON), WINDOW);
  virtioCapability(image, VIRTIO_PCI_CAP_ISR_CFG, place(PLAIN_ISR), WINDOW);
  virtioCapability(image, VIRTIO_PCI_CAP_DEVICE_CFG, place(PLAIN_DEVICE), WINDOW);
  // The first one is Linux's choice, the last one Intel's driver's.
  if (shape.portNotify) virtioCapability(image, VIRTIO_PCI_CAP_NOTIFY_CFG, { bar: BAR_PORT_NOTIFY, offset: 0 }, PORT_NOTIFY_SIZE);
  virtioCapability(image, VIRTIO_PCI_CAP_NOTIFY_CFG, place(PLAIN_NOTIFY), Math.max(WINDOW, shape.queues * stride), stride);
}

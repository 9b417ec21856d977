/** Configuration spaces of N3000 functions, made once for each physical function and shared by its virtual ones. */
import {
  PCI_BASE_ADDRESS_0, PCI_CLASS_NETWORK_ETHERNET, PCI_FUNC, PCI_HEADER_TYPE, PCI_VENDOR_ID_INTEL, PCI_VENDOR_ID_REDHAT_QUMRANET,
  VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG,
} from '@vdpalab/uapi';
import { describeBars } from '../pci/bars.ts';
import { acsCapability, ariCapability, endpointCapability, msixCapability, virtioCapability } from '../pci/capabilities.ts';
import { ConfigImage } from '../pci/config-image.ts';
import { describeHeader } from '../pci/function.ts';
import type { FunctionIds, FunctionParts } from '../pci/function.ts';
import { sriovCapability } from '../pci/sriov.ts';
import type { SriovSpec } from '../pci/sriov.ts';
import {
  BAR_NOTIFY, BAR_REGISTERS, COMMON_OFFSET, COMMON_SIZE, DEVICE_OFFSET, DEVICE_SIZE, ISR_OFFSET, ISR_SIZE, MSIX_PBA_OFFSET,
  MSIX_TABLE_OFFSET, NOTIFY_STRIDE, queueCount, vectorCount,
} from './layout.ts';

/** `N3000_DEVICE_ID`: a modern virtio network device. */
export const N3000_DEVICE_ID = 0x1041;
/** `N3000_SUBSYS_DEVICE_ID`: what ifcvf matches. */
export const N3000_SUBSYS_DEVICE_ID = 0x001a;
const MULTIFUNCTION = 0x80;

/** Ids of virtual functions: IFCVF's. */
export const VF_IDS: FunctionIds = {
  vendor: PCI_VENDOR_ID_REDHAT_QUMRANET, device: N3000_DEVICE_ID,
  subvendor: PCI_VENDOR_ID_INTEL, subdevice: N3000_SUBSYS_DEVICE_ID,
  classCode: PCI_CLASS_NETWORK_ETHERNET, revision: 1,
};

/** Ids of physical functions unless the lab file says otherwise: ifcvf does not match them. */
export const PF_IDS: FunctionIds = { ...VF_IDS, subdevice: 0 };

/** A virtual function's parts. Real ones read all ones for vendor and device; these tell, so that tools agree. */
export function vfParts(ids: FunctionIds, queuePairs: number): FunctionParts {
  const image = new ConfigImage();
  describeHeader(image, ids, false);
  const { msix, express } = describeVirtio(image, queuePairs);
  ariCapability(image);
  return { layout: image.build(), bars: [], express, msix };
}

/** A physical function's parts, and where its SR-IOV capability is: 0 when it has no virtual functions. */
export function pfParts(
  ids: FunctionIds, queuePairs: number, sriov: SriovSpec, devfn: number, multifunction: boolean, nextFunction: number,
): { readonly parts: FunctionParts; readonly sriovAt: number } {
  const image = new ConfigImage();
  describeHeader(image, ids, true);
  if (multifunction) image.put(PCI_HEADER_TYPE, 1, MULTIFUNCTION);
  const { bars } = sriov;
  describeBars(image, PCI_BASE_ADDRESS_0, bars);
  const { msix, express } = describeVirtio(image, queuePairs);
  acsCapability(image, false);
  ariCapability(image, nextFunction);
  const sriovAt = sriov.total === 0 ? 0 : sriovCapability(image, sriov, PCI_FUNC(devfn));
  return { parts: { layout: image.build(), bars, express, msix }, sriovAt };
}

function describeVirtio(image: ConfigImage, queuePairs: number): { msix: { at: number; count: number }; express: number } {
  const count = vectorCount(queuePairs);
  const at = msixCapability(image, count,
    { bar: BAR_REGISTERS, offset: MSIX_TABLE_OFFSET }, { bar: BAR_REGISTERS, offset: MSIX_PBA_OFFSET });
  virtioCapability(image, VIRTIO_PCI_CAP_COMMON_CFG, { bar: BAR_REGISTERS, offset: COMMON_OFFSET }, COMMON_SIZE);
  virtioCapability(image, VIRTIO_PCI_CAP_ISR_CFG, { bar: BAR_REGISTERS, offset: ISR_OFFSET }, ISR_SIZE);
  virtioCapability(image, VIRTIO_PCI_CAP_DEVICE_CFG, { bar: BAR_REGISTERS, offset: DEVICE_OFFSET }, DEVICE_SIZE);
  virtioCapability(image, VIRTIO_PCI_CAP_NOTIFY_CFG, { bar: BAR_NOTIFY, offset: 0 },
    queueCount(queuePairs) * NOTIFY_STRIDE, NOTIFY_STRIDE);
  return { msix: { at, count }, express: endpointCapability(image) };
}

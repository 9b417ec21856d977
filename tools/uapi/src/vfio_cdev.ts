/** `linux/vfio.h` of later Linux, in 6.12: device files that are bound to an iommufd. */
import { _IO } from './ioctl.ts';
import { defineStruct, s32, u32 } from './struct.ts';
import { VFIO_BASE, VFIO_TYPE } from './vfio.ts';
import type { ValueOf } from './struct.ts';

export const VFIO_DEVICE_BIND_IOMMUFD = _IO(VFIO_TYPE, VFIO_BASE + 18);
export const VFIO_DEVICE_ATTACH_IOMMUFD_PT = _IO(VFIO_TYPE, VFIO_BASE + 19);
export const VFIO_DEVICE_DETACH_IOMMUFD_PT = _IO(VFIO_TYPE, VFIO_BASE + 20);

/** `struct vfio_device_bind_iommufd`: argument of VFIO_DEVICE_BIND_IOMMUFD. */
export const vfio_device_bind_iommufd = defineStruct('vfio_device_bind_iommufd', {
  argsz: u32,
  flags: u32,
  iommufd: s32,
  out_devid: u32,
});
/** A `struct vfio_device_bind_iommufd` as a plain object. */
export type VfioDeviceBindIommufd = ValueOf<typeof vfio_device_bind_iommufd>;

/** `struct vfio_device_attach_iommufd_pt`: argument of VFIO_DEVICE_ATTACH_IOMMUFD_PT. */
export const vfio_device_attach_iommufd_pt = defineStruct('vfio_device_attach_iommufd_pt', {
  argsz: u32,
  flags: u32,
  pt_id: u32,
});
/** A `struct vfio_device_attach_iommufd_pt` as a plain object. */
export type VfioDeviceAttachIommufdPt = ValueOf<typeof vfio_device_attach_iommufd_pt>;

/** `struct vfio_device_detach_iommufd_pt`: argument of VFIO_DEVICE_DETACH_IOMMUFD_PT. */
export const vfio_device_detach_iommufd_pt = defineStruct('vfio_device_detach_iommufd_pt', {
  argsz: u32,
  flags: u32,
});
/** A `struct vfio_device_detach_iommufd_pt` as a plain object. */
export type VfioDeviceDetachIommufdPt = ValueOf<typeof vfio_device_detach_iommufd_pt>;

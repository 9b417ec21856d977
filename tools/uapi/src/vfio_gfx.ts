/** `linux/vfio.h` (Linux 6.1): displays, for a VMM to show. */
import { _IO } from './ioctl.ts';
import { defineStruct, u32, u64 } from './struct.ts';
import type { ValueOf } from './struct.ts';
import { VFIO_BASE, VFIO_TYPE } from './vfio.ts';

export const VFIO_GFX_PLANE_TYPE_PROBE = 1 << 0;
export const VFIO_GFX_PLANE_TYPE_DMABUF = 1 << 1;
export const VFIO_GFX_PLANE_TYPE_REGION = 1 << 2;

export const VFIO_DEVICE_QUERY_GFX_PLANE = _IO(VFIO_TYPE, VFIO_BASE + 14);

/**
 * `struct vfio_device_gfx_plane_info`: argument of VFIO_DEVICE_QUERY_GFX_PLANE.
 *
 * The last field is a union in C: `dmabuf_id` for VFIO_GFX_PLANE_TYPE_DMABUF.
 */
export const vfio_device_gfx_plane_info = defineStruct('vfio_device_gfx_plane_info', {
  argsz: u32,
  flags: u32,
  drm_plane_type: u32,
  drm_format: u32,
  drm_format_mod: u64,
  width: u32,
  height: u32,
  stride: u32,
  size: u32,
  x_pos: u32,
  y_pos: u32,
  x_hot: u32,
  y_hot: u32,
  region_index: u32,
});
/** A `struct vfio_device_gfx_plane_info` as a plain object. */
export type VfioDeviceGfxPlaneInfo = ValueOf<typeof vfio_device_gfx_plane_info>;

// A region of a display for its monitor's data.
export const VFIO_REGION_TYPE_GFX = 1;
export const VFIO_REGION_SUBTYPE_GFX_EDID = 1;
export const VFIO_DEVICE_GFX_LINK_STATE_UP = 1;
export const VFIO_DEVICE_GFX_LINK_STATE_DOWN = 2;

/** `struct vfio_region_gfx_edid`: the head of that region; the data lies at `edid_offset` in it. */
export const vfio_region_gfx_edid = defineStruct('vfio_region_gfx_edid', {
  edid_offset: u32,
  edid_max_size: u32,
  edid_size: u32,
  max_xres: u32,
  max_yres: u32,
  link_state: u32,
});
/** A `struct vfio_region_gfx_edid` as a plain object. */
export type VfioRegionGfxEdid = ValueOf<typeof vfio_region_gfx_edid>;

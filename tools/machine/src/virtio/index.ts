/** Virtio functions: what any of them has in common, and plain ones as QEMU's. */
export type { NetCounters, VirtioCounters } from './counters.ts';
export { VirtioFunction } from './function.ts';
export type { DeviceFault } from './function.ts';
export { NetFunction } from './net-function.ts';
export type { NetSettings } from './net-settings.ts';
export { VirtioBlkFunction } from './plain-blk.ts';
export type { VirtioBlkConfig, VirtioNetConfig } from './plain-config.ts';
export { VirtioNetFunction } from './plain-net.ts';

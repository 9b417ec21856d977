/** Virtio rings, driver side and device side, pure. */
export * from './areas.ts';
export * from './batch.ts';
export * from './copy.ts';
export * from './defs.ts';
export type { IndirectPool, RingDriverOptions } from './driver-options.ts';
export { ExtentCache } from './extent-cache.ts';
export * from './memory.ts';
export * from './packed-defs.ts';
export { PackedDevice } from './packed-device.ts';
export { GatheredPackedDevice } from './packed-device-gathered.ts';
export { PackedDriver } from './packed-driver.ts';
export * from './ring.ts';
export * from './split-device-gathered.ts';
export * from './split-device-mirrored.ts';
export { SplitDevice } from './split-device.ts';
export type { RingDeviceOptions } from './device-core.ts';
export * from './split-driver.ts';
export * from './translate.ts';

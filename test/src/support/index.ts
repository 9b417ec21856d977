/** What scenarios, properties and benchmarks of the whole chain share. */
export * from './capture.ts';
export * from './modprobe.ts';
export * from './netdev.ts';
export * from './pair.ts';
export * from './world.ts';

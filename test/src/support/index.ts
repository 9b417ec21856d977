/** What scenarios, properties and benchmarks of the whole chain share. */
export * from './capture.ts';
export * from './chain.ts';
export * from './fake-vcpu.ts';
export * from './load-order.ts';
export * from './modprobe.ts';
export * from './netdev.ts';
export * from './pair.ts';
export * from './sim-lab.ts';
export * from './vfio.ts';
export * from './vhost-mdev.ts';
export * from './world.ts';

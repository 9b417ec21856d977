/** Simulated hardware and the deterministic scheduler. */
export * from './connectx/index.ts';
export * from './counters.ts';
export * from './dma.ts';
export * from './foreign.ts';
export * from './iommu/index.ts';
export * from './irqchip.ts';
export * from './machine.ts';
export * from './memory-map.ts';
export * from './mmio.ts';
export * from './n3000/index.ts';
export * from './net/index.ts';
export * from './pci/index.ts';
export * from './ram.ts';
export * from './sched/index.ts';
export * from './siov/index.ts';
export * from './trace.ts';
export * from './virtio/index.ts';
export { sharedMemory } from './wasm.ts';

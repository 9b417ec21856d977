/** For tests of rings and of devices behind them: `import { MockRing } from '@vdpalab/vring/mock'`. */
export * from './mirror.ts';
export * from './mock-ring.ts';
export * from './paged-memory.ts';
export * from './mock-packed-ring.ts';

/** Intel FPGA PAC N3000 with IFCVF's virtio functions. */
export type { N3000FunctionConfig } from './config.ts';
export type { N3000Counters } from './counters.ts';
export { N3000Function } from './function.ts';
export * from './lm-region.ts';
export { N3000Pf, N3000Vf } from './pf.ts';
export { OPTIONAL_FEATURES } from './settings.ts';
export type { N3000Settings, OptionalFeature } from './settings.ts';

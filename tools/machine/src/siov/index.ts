/** A device with assignable interfaces. */
export { SiovAdi } from './adi.ts';
export type { SiovFunctionConfig } from './config.ts';
export { SiovFunction, SIOV_IDS } from './function.ts';

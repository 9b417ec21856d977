/** A ConnectX, as far as subfunctions and vDPA need one. */
export type { ConnectxCapability, ConnectxFunctionConfig } from './config.ts';
export { ConnectxFunction, CONNECTX_IDS } from './function.ts';
export type { KeyFault, KeyFaultReason } from './memory-keys.ts';

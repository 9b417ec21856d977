export * from './config.ts';
export { readDump } from './dump.ts';
export { GenericFunction, PassiveFunction } from './function.ts';

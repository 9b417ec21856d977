/** What every room shares: `defineModule`, `KernelSymbols`, `KernelError`, the undo stack and the `Machine` interface. */
import type { ModuleSymbols } from './kmodule.ts';
import type { VmlinuxSymbols } from './machine.ts';

export * from './atomic.ts';
export * from './driver-table.ts';
export * from './error.ts';
export * from './kmodule.ts';
export * from './machine.ts';
export * from './modinfo.ts';
export * from './module.ts';
export * from './param.ts';
export * from './sched.ts';
export * from './undo.ts';
export * from './version.ts';

/**
 * Every exported symbol of every module, by its Linux name.
 *
 * Headers add theirs: `declare module '@vdpalab/abi' { interface KernelSymbols extends VdpaSymbols {} }`. Two headers
 * that give one name two types fail to compile (TS2320). Declared here and not in a file of its own, because an
 * augmentation merges only with what the package's entry file itself declares.
 */
export interface KernelSymbols extends ModuleSymbols, VmlinuxSymbols {}

/** Builds a Lab from a lab file: machine, kernel, user space. */
export * from './built-modules.ts';
export * from './config.ts';
export * from './faults/acquire.ts';
export * from './faults/injector.ts';
export * from './faults/rule.ts';
export type * from './headers.ts';
export * from './lab.ts';
export { readLabFile } from './lab-file.ts';
export * from './layers.ts';
export * from './log.ts';
export type { ModuleFileInfo } from './module-files.ts';
export * from './module-tree.ts';
export * from './process.ts';
export * from './refusals.ts';
export { selectModules } from './select-modules.ts';
export * from './vmlinux.ts';

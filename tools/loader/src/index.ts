/** The kernel's half of module loading. */
export { parameterFiles, parseArgs, splitArgs } from './args.ts';
export type { Arg, Printk } from './args.ts';
export { LOAD_STEPS } from './host.ts';
export type { LoaderHost, LoadStep } from './host.ts';
export {
  makeImage, MODULE_INIT_COMPRESSED_FILE, MODULE_INIT_IGNORE_MODVERSIONS, MODULE_INIT_IGNORE_VERMAGIC, moduleInfo, O_NONBLOCK, O_TRUNC, readDefinition,
} from './image.ts';
export type { ModuleImage, ModuleInfo } from './image.ts';
export { Loader } from './loader.ts';
export { procModulesLine } from './procmodules.ts';
export { findBreaches, MODULE_MAY_IMPORT, scanModule } from './scan.ts';
export type { FenceBreach } from './scan.ts';
export type { SymbolInfo } from './symtab.ts';
export { isGplCompatible, kernelTaintLetters, moduleTaintLetters, TAINT, TAINT_LETTERS } from './taint.ts';

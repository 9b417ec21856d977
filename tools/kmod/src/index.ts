/** depmod, modprobe, insmod, rmmod, lsmod and modinfo as pure functions over a module tree. */
export * from './config.ts';
export * from './depmod-files.ts';
export * from './depmod.ts';
export * from './elf/index.ts';
export { fnmatch } from './fnmatch.ts';
export { hashOrder, kernfsHash, superFastHash, sysfsOrder } from './hash.ts';
export * from './lookup.ts';
export * from './modindex.ts';
export { isModuleFile, moduleName, normalizeAlias, underscores } from './names.ts';
export * from './plan.ts';
export * from './tree.ts';
export { BinIndex, IndexBuilder, writeIndex, type IndexEntry } from './bin-index.ts';
export { depmodTool } from './depmod-tool.ts';
export { getopt } from './getopt.ts';
export { modinfo } from './modinfo.ts';
export { modprobe } from './modprobe.ts';
export { insmod, lsmod, rmmod } from './small-tools.ts';
export * from './system.ts';

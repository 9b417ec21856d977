/** .ko files: written from our modules, read from anywhere. */
export { appendSignature, signatureOf, type ModuleSignature } from './signature.ts';
export { MODULE_LAYOUT_CRC, writeModule, type ModuleOrigin } from './module-write.ts';
export { paramsOf, readModule, treeModuleOfFile, type ModuleFile } from './module-read.ts';
export { parseElf, type ElfErrno, ElfFile, type ElfSection, type ElfSymbol } from './read.ts';
export { writeElf, X86_64, type ElfTarget, type SectionSpec, type SymbolSpec } from './write.ts';

/** .ko files: written from our modules, read from anywhere. */
export { appendSignature, SIGNATURE_MARK, signatureOf, type ModuleSignature } from './signature.ts';
export { MODULE_LAYOUT_CRC, writeModule, type ModuleOrigin } from './module-write.ts';
export { paramsOf, readModule, treeModuleOfFile, type FileParam, type ModuleFile } from './module-read.ts';
export { parseElf, type ElfErrno, ElfFile, type ElfSection, type ElfSymbol } from './read.ts';
export { concat, writeElf, X86_64, type ElfTarget, type SectionSpec, type SymbolSpec } from './write.ts';

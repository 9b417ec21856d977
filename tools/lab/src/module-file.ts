/** A module's .ko file: what the lab's build writes, and what the kernel makes of the bytes it is given. */
import { createHash } from 'node:crypto';
import { KernelError, type ModInfo } from '@vdpalab/abi';
import {
  appendSignature, readModule, signatureOf, treeModuleOf, treeModuleOfFile, writeModule, type ModuleFile, type TreeModule,
} from '@vdpalab/kmod';
import type { ModuleImage } from '@vdpalab/loader';
import { checkElf, type Printk } from './elf-check.ts';

/** What stands in for the key of the kernel's build: who signs and who checks know the same. */
const signatureFor = (bytes: Uint8Array): Uint8Array => createHash('sha512').update('vdpalab').update(bytes).digest();

/**
 * The file of a built module, and what depmod reads in it.
 *
 * @param intree modules of the kernel's own tree are signed
 */
export function moduleFile(info: ModInfo, release: string, intree: boolean): { readonly bytes: Uint8Array; readonly module: TreeModule } {
  const module = treeModuleOf(info, release, intree);
  const bytes = writeModule(module, { package: info.package });
  const file = readModule(bytes);
  if (typeof file === 'string') throw new Error(`${module.path} cannot be read back: ${file}`);
  return { bytes: intree ? appendSignature(bytes, signatureFor(bytes)) : bytes, module: treeModuleOfFile(file, module.path) };
}

/** A module file the kernel accepts so far. */
export interface OpenModuleFile {
  /** Whose code it stands for. */
  readonly package: string;
  /** The image of that code with everything the file says of it. */
  readonly image: (code: ModuleImage) => ModuleImage;
}

/**
 * What the kernel finds in the bytes it is given, before it looks at the module itself.
 *
 * @throws EINVAL for an empty file
 * @throws EKEYREJECTED when the file was changed after it was signed
 * @throws ENOEXEC for a file that is no module, or one of another build
 * @see `load_module` in `kernel/module/main.c`, `module_sig_check` in `kernel/module/signing.c` (Linux 6.1)
 */
export function openModuleFile(bytes: Uint8Array, path: string, printk: Printk): OpenModuleFile {
  if (bytes.length === 0) throw new KernelError('EINVAL', 'module.load.empty', `${path}: empty`);
  const signed = checkSignature(bytes, path);
  checkElf(signed ?? bytes, path, printk);
  const file = readModule(signed ?? bytes);
  if (typeof file === 'string') throw new KernelError('ENOEXEC', 'module.load.format', `${path}: not a module file`);
  if (file.name === null) {
    printk(4, `${file.modinfo.find(([key]) => key === 'name')?.[1] ?? '(missing .modinfo section or name field)'}: No module found in object`);
    throw new KernelError('ENOEXEC', 'module.load.this-module', `${path}: no .gnu.linkonce.this_module section`);
  }
  if (file.package === null) throw new KernelError('ENOEXEC', 'module.load.foreign', `${path}: built for another kernel: its code cannot run here`);
  return { package: file.package, image: (code) => imageOf(file, file.name as string, code, signed !== null) }; // checked above
}

/** @returns the signed bytes without their signature, `null` for an unsigned file */
function checkSignature(bytes: Uint8Array, path: string): Uint8Array | null {
  const signature = signatureOf(bytes);
  if (signature === null) return null;
  const signed = bytes.subarray(0, signature.signedLength);
  if (Buffer.compare(signature.message, signatureFor(signed)) === 0) return signed;
  throw new KernelError('EKEYREJECTED', 'module.load.signature-mismatch', `${path}: changed after it was signed`);
}

/** The file's word counts for everything but code and parameters. */
function imageOf(file: ModuleFile, name: string, code: ModuleImage, signed: boolean): ModuleImage {
  const value = (key: string): string | undefined => file.modinfo.find(([k]) => k === key)?.[1];
  const values = (key: string): string[] => file.modinfo.filter(([k]) => k === key).map(([, text]) => text);
  const needs = file.needs.filter((n) => !n.weak);
  return {
    ...code,
    definition: {
      ...code.definition,
      name,
      license: value('license') ?? 'unspecified',
      version: value('version'),
      imports: needs.map((n) => n.name),
      weakImports: file.needs.filter((n) => n.weak).map((n) => n.name),
      importNs: values('import_ns'),
    },
    info: {
      size: file.size,
      srcversion: value('srcversion'),
      crcs: Object.fromEntries(file.exports.filter((e) => e.crc !== 0).map((e) => [e.name, e.crc])),
      importCrcs: file.versions === null ? null : Object.fromEntries(file.versions.map((v) => [v.name, v.crc])),
      vermagic: value('vermagic'),
      intree: value('intree') !== undefined,
      signed,
      staging: value('staging') !== undefined,
      symbolOrder: file.needs.map((n) => n.name),
    },
  };
}

/** A module's .ko file: what the lab's build writes, and what the kernel makes of the bytes it is given. */
import { createHash } from 'node:crypto';
import { KernelError, type ModInfo } from '@vdpalab/abi';
import {
  appendSignature, concat, MODULE_LAYOUT_CRC, readModule, SIGNATURE_MARK, signatureOf, treeModuleOf, treeModuleOfFile, writeModule, type ModuleFile, type TreeModule,
} from '@vdpalab/kmod';
import type { ModuleImage } from '@vdpalab/loader';
import { checkElf, type Printk } from './elf-check.ts';

/** What stands in for keys, the kernel's own and one it does not know: who signs and who checks know the same. */
const KEY = 'vdpalab';
const OTHER_KEY = 'somebody else';

const signatureBy = (key: string, bytes: Uint8Array): Uint8Array => createHash('sha512').update(key).update(bytes).digest();

/** The file of a built module, and what depmod reads in it. */
export function moduleFile(info: ModInfo): { readonly bytes: Uint8Array; readonly module: TreeModule } {
  const module = treeModuleOf(info);
  const bytes = writeModule(module, {
    package: info.package, initSize: info.initSize, layoutCrc: info.versions === false ? null : info.layoutCrc ?? MODULE_LAYOUT_CRC,
  });
  const file = readModule(bytes);
  if (typeof file === 'string') throw new Error(`${module.path} cannot be read back: ${file}`);
  return { bytes: sign(bytes, info), module: treeModuleOfFile(file, module.path) };
}

function sign(bytes: Uint8Array, { signed = true, signature }: ModInfo): Uint8Array {
  switch (signature) {
    case 'bad': return appendSignature(bytes, signatureBy(KEY, new Uint8Array()));
    case 'no-key': return appendSignature(bytes, signatureBy(OTHER_KEY, bytes));
    case 'malformed': return concat([bytes, new TextEncoder().encode(SIGNATURE_MARK)]);
    default: return signed ? appendSignature(bytes, signatureBy(KEY, bytes)) : bytes;
  }
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
 * What is wrong with a signature the image says; the loader knows whether it matters.
 *
 * @throws EINVAL for an empty file
 * @throws ENOEXEC for a file that is no module, or one of another build
 * @see `load_module` in `kernel/module/main.c`, `module_sig_check` in `kernel/module/signing.c` (Linux 6.1)
 */
export function openModuleFile(bytes: Uint8Array, path: string, printk: Printk): OpenModuleFile {
  if (bytes.length === 0) throw new KernelError('EINVAL', 'module.load.empty', `${path}: empty`);
  const { contents, signature } = checkSignature(bytes);
  checkElf(contents, path, printk);
  const file = readModule(contents);
  if (typeof file === 'string') throw new KernelError('ENOEXEC', 'module.load.format', `${path}: not a module file`);
  if (file.name === null) {
    printk(4, `${file.modinfo.find(([key]) => key === 'name')?.[1] ?? '(missing .modinfo section or name field)'}: No module found in object`);
    throw new KernelError('ENOEXEC', 'module.load.this-module', `${path}: no .gnu.linkonce.this_module section`);
  }
  if (file.package === null) throw new KernelError('ENOEXEC', 'module.load.foreign', `${path}: built for another kernel: its code cannot run here`);
  return { package: file.package, image: (code) => imageOf(file, file.name as string, code, signature) }; // checked above
}

type SignatureState = Pick<ModuleImage['info'], 'signed' | 'signature'>;

/** The bytes without a signature, and how far that is to be trusted. */
function checkSignature(bytes: Uint8Array): { readonly contents: Uint8Array; readonly signature: SignatureState } {
  const found = signatureOf(bytes);
  if (found === null) {
    const marked = Buffer.from(bytes).subarray(-SIGNATURE_MARK.length).toString('latin1') === SIGNATURE_MARK;
    return { contents: bytes, signature: marked ? { signed: false, signature: 'malformed' } : { signed: false } };
  }
  const contents = bytes.subarray(0, found.signedLength);
  const isBy = (key: string): boolean => Buffer.compare(found.message, signatureBy(key, contents)) === 0;
  if (isBy(KEY)) return { contents, signature: { signed: true } };
  return { contents, signature: { signed: false, signature: isBy(OTHER_KEY) ? 'no-key' : 'bad' } };
}

/** The file's word counts for everything but code and parameters. */
function imageOf(file: ModuleFile, name: string, code: ModuleImage, signature: SignatureState): ModuleImage {
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
      initSize: file.initSize,
      srcversion: value('srcversion'),
      crcs: Object.fromEntries(file.exports.filter((e) => e.crc !== 0).map((e) => [e.name, e.crc])),
      importCrcs: file.versions === null ? null : Object.fromEntries(file.versions.map((v) => [v.name, v.crc])),
      vermagic: value('vermagic'),
      intree: value('intree') !== undefined,
      ...signature,
      staging: value('staging') !== undefined,
      symbolOrder: file.needs.map((n) => n.name),
    },
  };
}

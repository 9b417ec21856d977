/** What an image is checked for before it gets a name. Mirrors the first half of `load_module` in `kernel/module/main.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { LoaderHost } from './host.ts';
import { MODULE_INIT_IGNORE_MODVERSIONS, MODULE_INIT_IGNORE_VERMAGIC } from './image.ts';
import type { LoadedModule } from './loaded.ts';
import type { KernelTaint } from './kernel-taint.ts';
import { isGplCompatible, TAINT } from './taint.ts';

/**
 * `module_sig_check`: a signature that is there must hold; one that is missing matters where signatures are enforced.
 *
 * What is loaded by force counts as unsigned: the tool may have changed the image.
 *
 * @returns whether the image is signed by a key the kernel knows
 * @throws EKEYREJECTED when the signature does not fit the contents, or signatures are enforced and there is none to trust
 * @throws EBADMSG when the signature cannot be read
 */
export function checkSignature(mod: LoadedModule, flags: number, host: LoaderHost): boolean {
  const { signed, signature } = mod.image.info;
  const mangled = (flags & (MODULE_INIT_IGNORE_MODVERSIONS | MODULE_INIT_IGNORE_VERMAGIC)) !== 0;
  if (!mangled && signature === 'bad') {
    throw new KernelError('EKEYREJECTED', 'module.load.signature-digest', `${mod.name}: its signature is over other contents`);
  }
  if (!mangled && signature === 'malformed') {
    throw new KernelError('EBADMSG', 'module.load.signature-format', `${mod.name}: its signature cannot be read`);
  }
  if (!mangled && signed) return true;
  if (host.sigEnforce?.() === true) {
    const reason = !mangled && signature === 'no-key' ? 'module with unavailable key' : 'unsigned module';
    host.printk(5, `Loading of ${reason} is rejected`);
    throw new KernelError('EKEYREJECTED', 'module.load.signature', `${mod.name}: ${reason}, and signatures are enforced`);
  }
  return false;
}

/** @throws EPERM for a name after `module_blacklist=` */
export function checkBlacklist(mod: LoadedModule, host: LoaderHost): void {
  if (host.moduleBlacklist?.includes(mod.name) !== true) return;
  host.printk(3, `Module ${mod.name} is blacklisted`);
  throw new KernelError('EPERM', 'module.load.blacklist', `${mod.name}: named by module_blacklist=`);
}

/**
 * `check_modstruct_version`: the image was built against this kernel's module layout.
 *
 * @returns the CRC table to compare with, `null` for none
 * @throws ENOEXEC when the layout's CRC differs, or there is no table and forcing is not allowed
 */
export function checkModversions(mod: LoadedModule, flags: number, host: LoaderHost, taint: KernelTaint): Readonly<Record<string, number>> | null {
  const crcs = (flags & MODULE_INIT_IGNORE_MODVERSIONS) !== 0 ? null : mod.image.info.importCrcs;
  if (crcs === null) {
    if (taint.forceLoad(mod, 'module_layout')) return null;
    throw new KernelError('ENOEXEC', 'module.load.modversions', `${mod.name}: no symbol versions, and forced loading is not allowed`);
  }
  const built = crcs['module_layout'];
  if (host.moduleLayoutCrc === undefined || built === undefined || built === host.moduleLayoutCrc) return crcs;
  host.printk(4, `${mod.name}: disagrees about version of symbol module_layout`);
  throw new KernelError('ENOEXEC', 'module.load.modversions',
    `${mod.name}: module_layout has CRC ${built.toString(16)}, the kernel's is ${host.moduleLayoutCrc.toString(16)}`);
}

/**
 * The version magic; with symbol versions on both sides the first word, the release, is not compared.
 *
 * @throws ENOEXEC when it differs, or is ignored or missing and forcing is not allowed
 */
export function checkVermagic(mod: LoadedModule, flags: number, hasCrcs: boolean, host: LoaderHost, taint: KernelTaint): void {
  if (host.vermagic === undefined) return;
  const magic = (flags & MODULE_INIT_IGNORE_VERMAGIC) !== 0 ? undefined : mod.image.info.vermagic;
  if (magic === undefined) {
    if (taint.forceLoad(mod, 'bad vermagic')) return;
    throw new KernelError('ENOEXEC', 'module.load.vermagic', `${mod.name}: no version magic, and forced loading is not allowed`);
  }
  const rest = (text: string): string => (hasCrcs ? text.slice(text.indexOf(' ') < 0 ? text.length : text.indexOf(' ')) : text);
  if (rest(magic) === rest(host.vermagic)) return;
  host.printk(3, `${mod.name}: version magic '${magic}' should be '${host.vermagic}'`);
  throw new KernelError('ENOEXEC', 'module.load.vermagic', `${mod.name}: version magic '${magic}', the kernel's is '${host.vermagic}'`);
}

/** Taints that come with the image itself: out of tree, staging, licence. */
export function taintByOrigin(mod: LoadedModule, host: LoaderHost, taint: KernelTaint): void {
  const { info, definition } = mod.image;
  if (!info.intree) {
    if (!taint.has(TAINT.OOT_MODULE)) host.printk(4, `${mod.name}: loading out-of-tree module taints kernel.`);
    taint.add(TAINT.OOT_MODULE, mod);
  }
  if (info.staging === true) {
    taint.add(TAINT.CRAP, mod);
    host.printk(4, `${mod.name}: module is from the staging directory, the quality is unknown, you have been warned.`);
  }
  if (!isGplCompatible(definition.license)) {
    if (!taint.has(TAINT.PROPRIETARY_MODULE)) host.printk(4, `${mod.name}: module license '${definition.license}' taints kernel.`);
    taint.add(TAINT.PROPRIETARY_MODULE, mod);
  }
}

/** The taint of an image without a signature to trust, once it has a name. */
export function taintBySignature(mod: LoadedModule, trusted: boolean, taint: KernelTaint): void {
  if (trusted) return;
  taint.once('unsigned', 5, `${mod.name}: module verification failed: signature and/or required key missing - tainting kernel`);
  taint.add(TAINT.UNSIGNED_MODULE, mod);
}

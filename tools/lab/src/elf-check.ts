/** What the kernel checks before it believes a module file. Mirrors `elf_validity_check` in `kernel/module/main.c` (Linux 6.1). */
import { KernelError, type Atomic } from '@vdpalab/abi';

/** Where a line of the kernel's log goes. @param level 0 to 7 */
export type Printk = (level: number, text: string) => Atomic;

const EHDR = 64;
const SHDR = 64;
const ET_REL = 1;
const EM_X86_64 = 62;
const SHT_NULL = 0;
const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;

interface Header {
  readonly name: number;
  readonly type: number;
  readonly addr: bigint;
  readonly offset: bigint;
  readonly size: bigint;
  readonly link: number;
}

/**
 * Refuse what is no relocatable x86-64 ELF file with all its sections inside it.
 *
 * @throws ENOEXEC, with the kernel's log line
 */
export function checkElf(bytes: Uint8Array, path: string, printk: Printk): void {
  const refuse = (text: string): never => {
    printk(3, text);
    throw new KernelError('ENOEXEC', 'module.load.elf', `${path}: ${text}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = BigInt(bytes.length);
  if (bytes.length < EHDR) refuse(`Invalid ELF header len ${bytes.length}`);
  if (view.getUint32(0) !== 0x7f45_4c46) refuse('Invalid ELF header magic: != \x7fELF');
  const type = view.getUint16(16, true);
  if (type !== ET_REL) refuse(`Invalid ELF header type: ${type} != ${ET_REL}`);
  const machine = view.getUint16(18, true);
  if (machine !== EM_X86_64) refuse(`Invalid architecture in ELF header: ${machine}`);
  if (view.getUint16(58, true) !== SHDR) refuse('Invalid ELF section header size');
  const [shoff, count, names] = [view.getBigUint64(40, true), view.getUint16(60, true), view.getUint16(62, true)];
  if (shoff >= length || BigInt(count * SHDR) > length - shoff) refuse('Invalid ELF section header overflow');
  if (names === 0 || names >= count) {
    refuse(`Invalid ELF section name index: ${names} || e_shstrndx (${names}) >= e_shnum (${count})`);
  }
  const header = (i: number): Header => {
    const at = Number(shoff) + i * SHDR;
    return {
      name: view.getUint32(at, true), type: view.getUint32(at + 4, true), addr: view.getBigUint64(at + 16, true),
      offset: view.getBigUint64(at + 24, true), size: view.getBigUint64(at + 32, true), link: view.getUint32(at + 40, true),
    };
  };
  const inside = ({ offset, size }: Header): boolean => offset + size < 1n << 64n && offset + size <= length;
  const strings = header(names);
  if (!inside(strings)) refuse(`Invalid ELF section hdr(type ${strings.type})`);
  if (strings.size === 0n) refuse('empty section name table');
  if (bytes[Number(strings.offset + strings.size) - 1] !== 0) refuse("ELF Spec violation: section name table isn't null terminated");
  const first = header(0);
  if (first.type !== SHT_NULL || first.size !== 0n || first.addr !== 0n) {
    refuse(`ELF Spec violation: section 0 type(${first.type})!=SH_NULL or non-zero len or addr`);
  }
  for (let i = 1; i < count; i++) {
    const section = header(i);
    if (section.type === SHT_NULL || section.type === SHT_NOBITS) continue;
    if (section.type === SHT_SYMTAB && (section.link === 0 || section.link >= count)) {
      refuse(`Invalid ELF sh_link!=SHN_UNDEF(${section.link}) or (sh_link(${section.link}) >= hdr->e_shnum(${count})`);
    }
    if (!inside(section)) refuse(`Invalid ELF section in module (section ${i} type ${section.type})`);
    if (BigInt(section.name) >= strings.size) refuse(`Invalid ELF section name in module (section ${i} type ${section.type})`);
  }
}

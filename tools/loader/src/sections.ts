/**
 * What `/sys/module/M/sections` and `notes` list. Mirrors `add_sect_attrs` and `add_notes_attrs` in `kernel/module/sysfs.c` (Linux 6.1).
 *
 * An image here has no compiled code, so the sections are those that GCC leaves in such a module without `__init` code,
 * laid out as text, read-only data and data are: addresses are plausible, ordered and stable, and nothing lies there.
 */
import type { ModuleNote, ModuleSection } from '@vdpalab/abi';
import type { ModuleImage } from './image.ts';

const PAGE = 4096n;
const STEP = 64n;

const TEXT = ['.text', '.exit.text'];
const READ_ONLY = [
  '.note.gnu.build-id', '.note.Linux', '__ksymtab', '__ksymtab_gpl', '__kcrctab', '__kcrctab_gpl', '__ksymtab_strings', '__param', '__mcount_loc',
  '.rodata.str1.1', '.rodata.str1.8', '.rodata', '.retpoline_sites', '.return_sites', '.orc_unwind', '.orc_unwind_ip',
];
const AFTER_INIT = ['.data..ro_after_init'];
const DATA = ['__bug_table', '.data', '.exit.data', '.gnu.linkonce.this_module'];
const INIT = ['.init.data', '.symtab', '.strtab'];

/** Sections of an image, by the rules of the compiler and of its tables. */
function names({ definition, info }: ModuleImage): ReadonlySet<string> {
  if (info.sections !== undefined) return new Set(info.sections);
  const gpl = definition.exportsGpl.length + Object.values(definition.exportsNs).flat().length;
  const absent = new Set([
    ...(definition.exports.length === 0 ? ['__ksymtab', '__kcrctab'] : []),
    ...(gpl === 0 ? ['__ksymtab_gpl', '__kcrctab_gpl'] : []),
    ...(definition.exports.length + gpl === 0 ? ['__ksymtab_strings'] : []),
    ...(Object.keys(definition.params).length === 0 ? ['__param'] : []),
  ]);
  return new Set([...TEXT, ...READ_ONLY, ...AFTER_INIT, ...DATA, ...INIT].filter((name) => !absent.has(name)));
}

/** The sections with their addresses. @param base where the module lies; @param size of its code, bytes */
export function moduleSections(image: ModuleImage, base: bigint, size: number): readonly ModuleSection[] {
  const wanted = names(image);
  const end = base + BigInt(size) + PAGE; // what init uses lies behind, in an area of its own
  const starts: readonly (readonly [bigint, readonly string[]])[] = [
    [base, TEXT], [base + PAGE, READ_ONLY], [base + 2n * PAGE, AFTER_INIT], [base + 3n * PAGE, DATA], [end, INIT],
  ];
  const known = new Set(starts.flatMap(([, list]) => list));
  const placed = starts.flatMap(([start, list]) => list.map((name, at) => ({ name, address: start + BigInt(at) * STEP })));
  const other = [...wanted].filter((name) => !known.has(name)).map((name, at) => ({ name, address: base + PAGE + BigInt(READ_ONLY.length + at) * STEP }));
  return [...placed, ...other].filter(({ name }) => wanted.has(name));
}

const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];

/** One ELF note: three words, the name and what it says, each padded to four bytes. */
function note(name: string, type: number, desc: readonly number[]): number[] {
  const word = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, n >> 24];
  const padded = (bytes: readonly number[]): number[] => [...bytes, ...Array.from({ length: -bytes.length & 3 }, () => 0)];
  const owner = bytesOf(`${name}\0`);
  return [...word(owner.length), ...word(desc.length), ...word(type), ...padded(owner), ...padded(desc)];
}

/** Twenty bytes that change with the image: FNV-1a over what it says of itself. */
function buildId({ definition, info }: ModuleImage): number[] {
  const text = [definition.name, info.srcversion ?? '', info.vermagic ?? '', info.size, ...Object.values(info.crcs), ...Object.values(info.importCrcs ?? {})].join(' ');
  let hash = 0x811c_9dc5;
  return Array.from({ length: 20 }, (_, round) => {
    for (const byte of bytesOf(`${round} ${text}`)) hash = Math.imul(hash ^ byte, 0x0100_0193) >>> 0;
    return 128 + (hash & 127); // no control characters: `cat` of it stays on one line
  });
}

/** `LINUX_ELFNOTE_LTO_INFO` and `LINUX_ELFNOTE_BUILD_SALT`, and the build's id. */
export function moduleNotes(image: ModuleImage): readonly ModuleNote[] {
  const release = (image.info.vermagic ?? '').split(' ', 1)[0] ?? '';
  return [
    { name: '.note.gnu.build-id', bytes: Uint8Array.from(note('GNU', 3, buildId(image))) },
    { name: '.note.Linux', bytes: Uint8Array.from([...note('Linux', 0x101, [0, 0, 0, 0]), ...note('Linux', 0x100, bytesOf(`${release}\0`))]) },
  ];
}

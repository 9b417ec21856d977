/** Taints: bits of the kernel, letters of a module. Mirrors `kernel/panic.c` `taint_flags` (Linux 6.1). */

/** Taint bits by name, as `/proc/sys/kernel/tainted` numbers them. */
export const TAINT = Object.freeze({
  PROPRIETARY_MODULE: 0,
  FORCED_MODULE: 1,
  CPU_OUT_OF_SPEC: 2,
  FORCED_RMMOD: 3,
  MACHINE_CHECK: 4,
  BAD_PAGE: 5,
  USER: 6,
  DIE: 7,
  OVERRIDDEN_ACPI_TABLE: 8,
  WARN: 9,
  CRAP: 10,
  FIRMWARE_WORKAROUND: 11,
  OOT_MODULE: 12,
  UNSIGNED_MODULE: 13,
  SOFTLOCKUP: 14,
  LIVEPATCH: 15,
  AUX: 16,
  RANDSTRUCT: 17,
  TEST: 18,
});

/** Letter of each bit when set; `G` stands for a clear bit 0. */
export const TAINT_LETTERS = 'PFSRMBUDAWCIOELKXTN';

/** Bits that a module's own taint shows. */
const OF_MODULES = 'PFCOEKXTN';

/** @param bits taint bits of a module. @returns letters in bit order, `OE` */
export function moduleTaintLetters(bits: number): string {
  return [...TAINT_LETTERS].filter((letter, bit) => (bits & (1 << bit)) !== 0 && OF_MODULES.includes(letter)).join('');
}

/** @param bits taint bits of the kernel. @returns what an oops prints after "Tainted: ", one column per bit */
export function kernelTaintLetters(bits: number): string {
  return [...TAINT_LETTERS].map((letter, bit) => ((bits & (1 << bit)) !== 0 ? letter : bit === 0 ? 'G' : ' ')).join('');
}

/** Licence strings compatible with the GPL: `license_is_gpl_compatible` in `include/linux/license.h`. */
const GPL_COMPATIBLE: readonly string[] = [
  'GPL', 'GPL v2', 'GPL and additional rights', 'Dual BSD/GPL', 'Dual MIT/GPL', 'Dual MPL/GPL',
];

/** Whether a module of this licence may use GPL-only symbols. */
export function isGplCompatible(license: string): boolean {
  return GPL_COMPATIBLE.includes(license);
}

/**
 * Memory: physical pages, address spaces of processes, pinning.
 *
 * Mirrors `include/linux/{gfp,mm,mm_types,uaccess}.h` (Linux 6.1), with ranges where Linux has page lists.
 */
import type { Atomic, RamRegion } from '@vdpalab/abi';

/** A physically contiguous run of pages. */
export interface PageRun {
  /** Physical address of the first byte, page-aligned. */
  readonly pa: number;
  /** Pages of 4096 bytes. */
  readonly pages: number;
}

/** `struct vm_area_struct` */
export interface VmArea {
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
  /** PROT_* */
  readonly prot: number;
  /** MAP_* */
  readonly flags: number;
  /** Page offset into the mapped file. */
  readonly pgoff: number;
  readonly mm: MmStruct;
  /** What the pages are; set by `mmap` of the file. */
  backing: VmBacking;
  /** Told when the area goes. */
  close: (() => Atomic) | null;
}

/** Anonymous or shared memory, pages that a driver finds when they are touched, or a window of device registers. */
export type VmBacking =
  | { readonly kind: 'pages'; readonly runs: readonly PageRun[] }
  /** `vm_operations_struct.fault`: the physical address of a page of the file, or null for none (SIGBUS). */
  | { readonly kind: 'fault'; readonly fault: (pgoff: number) => number | null }
  | { readonly kind: 'io'; readonly pa: number; readonly size: number }
  | { readonly kind: 'none' };

/**
 * `struct mm_struct`: one address space. An interface, because memory of another process of the host can stand behind it.
 */
export interface MmStruct {
  readonly id: number;
  /** Bytes locked now, counted against RLIMIT_MEMLOCK, in pages. */
  locked_vm: number;
  pinned_vm: number;
  readonly areas: readonly VmArea[];
  /** @throws EFAULT when a byte of the range is not mapped readable */
  read: (va: number, len: number) => Uint8Array;
  /** @throws EFAULT when a byte of the range is not mapped writable; nothing is written then */
  write: (va: number, bytes: Uint8Array) => Atomic;
  /**
   * A view of memory that is contiguous in RAM; no copy.
   *
   * @returns `null` when it is not contiguous or not mapped
   */
  view: (va: number, len: number) => Uint8Array | null;
  /** Physical address of one byte. @throws EFAULT */
  translate: (va: number, write: boolean) => number;
  /** One naturally aligned register access by the CPU, through memory or a device window. @throws EFAULT */
  load: (va: number, size: 1 | 2 | 4) => number;
  store: (va: number, size: 1 | 2 | 4, value: number) => Atomic;
}

/** One mapping of a process outside, as /proc/PID/maps tells; device registers and the kernel's own pages are left out. */
export interface ForeignArea {
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
  /** PROT_* */
  readonly prot: number;
  /** MAP_SHARED or MAP_PRIVATE, MAP_ANONYMOUS. */
  readonly flags: number;
  /** Page offset into the mapped file. */
  readonly pgoff: number;
  /** Tells whether two mappings show the same bytes at the same addresses: file and offset, in any form; the same for all anonymous ones. */
  readonly backing: string;
}

/** Memory of a process that is not the lab's, as the host reaches it. */
export interface ForeignMemory {
  /** @returns `null` when a byte is not mapped readable, or the process is gone */
  readonly read: (va: number, len: number) => Uint8Array | null;
  /** @returns false when a byte is not mapped writable, or the process is gone; bytes before it may be written */
  readonly write: (va: number, bytes: Uint8Array) => boolean;
  /** Mappings now, ascending. */
  readonly areas: () => readonly ForeignArea[];
  /** RAM at a physical address that is `size` bytes of an area from `va` on, mapped here or mirrored. */
  readonly region: (base: number, va: number, size: number, area: ForeignArea) => RamRegion;
  /** A region of {@link ForeignMemory.region} is not needed any more. */
  readonly release: (region: RamRegion) => Atomic;
  /** Nothing will be asked any more. */
  readonly close: () => Atomic;
}

export interface MmSymbols {
  /**
   * Physically contiguous, zeroed pages.
   *
   * @throws ENOMEM
   */
  alloc_pages: (pages: number) => PageRun;
  /** @throws Error (a lab bug) on a double free or while pinned */
  free_pages: (run: PageRun) => Atomic;
  /** View of physical memory, no copy. */
  phys_view: (pa: number, len: number) => Uint8Array;
  /** Pages free now. */
  nr_free_pages: () => number;

  mm_alloc: () => MmStruct;
  /** The address space of a process outside; given back by {@link MmSymbols.mmput} like any other. */
  mm_foreign: (memory: ForeignMemory) => MmStruct;
  /** A further user of the address space. */
  mmget: (mm: MmStruct) => Atomic;
  /** Drop one; the last tears all areas down. */
  mmput: (mm: MmStruct) => Atomic;
  /**
   * Map anonymous memory or, through the file's mmap, something else; see `fs`'s ksys_mmap.
   *
   * @param addr 0 to let the kernel choose
   * @returns the area, backed by freshly allocated pages when `pages` is set
   */
  mm_map: (mm: MmStruct, addr: number, len: number, prot: number, flags: number, pgoff: number, anonymous: boolean) => VmArea;
  mm_unmap: (mm: MmStruct, addr: number, len: number) => Atomic;

  /**
   * `pin_user_pages(FOLL_LONGTERM)`: keep the pages of a range in place.
   *
   * @param write the device will write them: the area must be writable
   * @returns contiguous runs, in order, whole pages
   * @throws EFAULT when a page is not mapped; nothing stays pinned then
   */
  pin_user_pages: (mm: MmStruct, va: number, len: number, write: boolean) => readonly PageRun[];
  /** @param dirty mark them dirty, as after a device wrote */
  unpin_user_pages: (runs: readonly PageRun[], dirty: boolean) => Atomic;
  /**
   * `account_locked_vm` for `pages`; a negative count gives back.
   *
   * @param limit bytes of RLIMIT_MEMLOCK; Infinity with CAP_IPC_LOCK
   * @throws ENOMEM over the limit
   */
  account_locked_vm: (mm: MmStruct, pages: number, limit: number) => Atomic;

  /** Pages allocated and pinned now, with owners where known, for leak reports. */
  mm_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends MmSymbols {}
}

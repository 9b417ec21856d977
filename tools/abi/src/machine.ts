/**
 * The machine as the kernel sees it: memory, MMIO, PCI configuration, the platform IOMMU, interrupts, the clock.
 *
 * Only built-in modules import the `machine` symbol. Addresses are numbers below 2^53.
 */
import type { Atomic } from './atomic.ts';
import type { KernelError } from './error.ts';
import type { Scheduler } from './sched.ts';

/** A slot of physical memory: bytes that live in one buffer. At most 4 GiB. */
export interface RamRegion {
  /** Physical address of the first byte. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  /**
   * `wasm`: a shared WebAssembly memory of ours; `mapped`: memory of another process, mapped here; `remote`: memory of
   * another process that cannot be mapped, with a mirror here.
   */
  readonly kind: 'wasm' | 'mapped' | 'remote';
  /** The WebAssembly memory the bytes are in, if they are in one: copies inside it are quick. Never grown, never transferred. */
  readonly memory: WebAssemblyMemory | null;
  readonly buffer: ArrayBufferLike;
  /** Offset of the first byte in `buffer`. */
  readonly byteOffset: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  /** Set for `remote`: the views are of the mirror, and whoever reads pulls before, whoever writes pushes after. */
  readonly remote: RemoteMemory | null;
}

/** The other side of a mirror. What cannot be reached, because its owner is gone, is passed over in silence. */
export interface RemoteMemory {
  /** Bring bytes into the mirror. @param offset bytes from the start of the region */
  readonly pull: (offset: number, length: number) => Atomic;
  /** Take bytes out of the mirror to their owner. @param offset bytes from the start of the region */
  readonly push: (offset: number, length: number) => Atomic;
  /** {@link RemoteMemory.pull} for the first `count` of these pieces. */
  readonly pullMany: (offsets: Uint32Array, lengths: Uint32Array, count: number) => Atomic;
  /** {@link RemoteMemory.push} for the first `count` of these pieces. */
  readonly pushMany: (offsets: Uint32Array, lengths: Uint32Array, count: number) => Atomic;
}

/** `WebAssembly.Memory`, of which only the buffer is used here; the type library has no WebAssembly. */
export interface WebAssemblyMemory {
  readonly buffer: ArrayBufferLike;
}

/** Physical memory. */
export interface Ram {
  readonly regions: readonly RamRegion[];
  /** Rises whenever a region is attached or detached: cached views of older generations are stale. */
  readonly generation: number;
  /** The region that holds all of `[pa, pa + len)`, or `null`. */
  readonly find: (pa: number, len: number) => RamRegion | null;
  /** A view, no copy. @throws RangeError when the range is not inside one region */
  readonly view: (pa: number, len: number) => Uint8Array;
  readonly attach: (region: RamRegion) => Atomic;
  readonly detach: (region: RamRegion) => Atomic;
}

/** Memory-mapped I/O as the CPU does it; unclaimed reads give all ones, unclaimed writes are lost, as on a PC. */
export interface Mmio {
  /** @param size 1, 2 or 4 bytes; naturally aligned */
  readonly read: (pa: number, size: 1 | 2 | 4) => number;
  readonly write: (pa: number, size: 1 | 2 | 4, value: number) => Atomic;
}

/** A PCI host bridge: configuration cycles and the windows firmware left for BARs. */
export interface PciHost {
  readonly domain: number;
  readonly firstBus: number;
  readonly lastBus: number;
  /** Addresses the kernel may hand out to 32-bit and 64-bit BARs. */
  readonly mem32: { readonly base: number; readonly size: number };
  readonly mem64: { readonly base: number; readonly size: number };
  /** I/O ports the kernel may hand out, and the physical address at which port 0 is reached; absent when the host has none. */
  readonly io?: { readonly base: number; readonly size: number; readonly window: number };
  /** Let a function's interrupt pin send a message, or none with `null`; absent when pins lead nowhere. */
  readonly routePin?: (bus: number, devfn: number, message: { readonly address: number; readonly data: number } | null) => Atomic;
  /** @param devfn device << 3 | function; @param where byte offset, 0..4095. All ones when nobody answers. */
  readonly configRead: (bus: number, devfn: number, where: number, size: 1 | 2 | 4) => number;
  readonly configWrite: (bus: number, devfn: number, where: number, size: 1 | 2 | 4, value: number) => Atomic;
}

/** `IOMMU_READ` and `IOMMU_WRITE` of a mapping. */
export interface IommuHit {
  readonly pa: number;
  readonly prot: number;
  /** Bytes from the looked-up address to the end of this contiguous mapping. */
  readonly length: number;
}

/** A translation table of the platform IOMMU; the hardware walks it. */
export interface IommuTable {
  readonly id: number;
  /** Map a page-aligned range. @param prot 1 read, 2 write. @throws KernelError EEXIST when a page is mapped already */
  readonly map: (iova: number, pa: number, size: number, prot: number) => Atomic;
  /** Unmap a page-aligned range; holes are skipped. @returns bytes that were mapped */
  readonly unmap: (iova: number, size: number) => number;
  readonly lookup: (iova: number) => IommuHit | null;
  /** Pages mapped now. */
  readonly mappedPages: number;
}

/** A DMA the platform IOMMU refused. */
export interface IommuFault {
  /** Requester id: bus << 8 | devfn. */
  readonly rid: number;
  readonly pasid: number | null;
  readonly iova: number;
  readonly write: boolean;
  readonly reason: 'not-present' | 'permission' | 'blocked' | 'no-entry';
  /** Virtual time, ns. */
  readonly at: number;
}

/** What a requester's DMA goes through: a table, nothing (1:1), or a wall. */
export type IommuAttachment = IommuTable | 'identity' | 'blocked';

/** The platform IOMMU, keyed by requester id and, for ADIs, PASID. */
export interface IommuUnit {
  /** Largest IOVA, inclusive. */
  readonly apertureEnd: number;
  readonly createTable: () => IommuTable;
  readonly destroyTable: (table: IommuTable) => Atomic;
  readonly attach: (rid: number, pasid: number | null, to: IommuAttachment) => Atomic;
  readonly detach: (rid: number, pasid: number | null) => Atomic;
  /** All tables that exist, for leak checks. */
  readonly tables: () => readonly IommuTable[];
  /** Faults since power-on, oldest first, bounded. */
  readonly faults: readonly IommuFault[];
  /** Called once per fault, in atomic context. */
  onFault: ((fault: IommuFault) => Atomic) | null;
}

/** Message-signalled interrupts: the kernel asks for a message, a device writes it, the vector fires. */
export interface IrqChip {
  /**
   * Reserve a vector.
   *
   * @param source requester id that may fire it, where interrupts are remapped; any when absent
   * @throws KernelError ENOSPC when none is left
   */
  readonly allocVector: (source?: number) => number;
  readonly freeVector: (vector: number) => Atomic;
  /** What a device must write to fire the vector. */
  readonly message: (vector: number) => { readonly address: number; readonly data: number };
  /** Called in atomic context for each message that arrives. */
  onInterrupt: ((vector: number) => Atomic) | null;
}

/** A device without a bus of its own, as firmware describes it: simulators use none. */
export interface PlatformDevice {
  readonly name: string;
  readonly mmio: { readonly base: number; readonly size: number } | null;
}

/** One traced event; fields are plain data. */
export interface TraceEvent {
  readonly id: number;
  /** Id of the event that caused this one; 0 for none. */
  readonly cause: number;
  readonly at: number;
  readonly type: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/** Where trace events go. Callers test `enabled` first, so that off costs nothing. */
export interface Trace {
  readonly enabled: boolean;
  /** @returns the event's id, to be put in `sched.cause` while its consequences run */
  readonly emit: (type: string, fields: TraceEvent['fields']) => number;
}

/** A line of the kernel log. */
export interface LogLine {
  /** 0 emerg .. 7 debug */
  readonly level: number;
  /** LOG_KERN, or LOG_USER and others for what processes write to /dev/kmsg. */
  readonly facility: number;
  readonly text: string;
  /** Virtual time, ns. */
  readonly at: number;
}

/** What is kept of the kernel log: records with consecutive numbers. */
export interface LogRecords {
  /** Number of the oldest record that is kept. */
  readonly first: number;
  /** Number that the next record gets. */
  readonly next: number;
  /** Number of the first record after the last clear; that record may be gone, or to come. */
  readonly cleared: number;
  /** @returns `undefined` for one that is gone, or to come */
  readonly record: (seq: number) => LogLine | undefined;
  /** Called after each record, in atomic context. */
  readonly watchers: Set<() => Atomic>;
}

/** The machine. */
export interface Machine {
  readonly sched: Scheduler;
  readonly ram: Ram;
  readonly mmio: Mmio;
  /** `null` when the lab file has no PCI. */
  readonly pci: PciHost | null;
  /** `null` when the lab file switches the IOMMU off. */
  readonly iommu: IommuUnit | null;
  readonly irq: IrqChip;
  readonly platform: readonly PlatformDevice[];
  readonly trace: Trace;
  /** Kernel command line. */
  readonly cmdline: string;
  /** `uname -r` */
  readonly release: string;
  /**
   * Write a line to the console, and keep it in the log.
   *
   * @param facility LOG_KERN, LOG_USER...
   * @param unfinished whether it lacks its line's end: readers of the log get it once another follows
   */
  readonly console: (level: number, facility: number, text: string, unfinished?: boolean) => Atomic;
  /** What was written to the console. */
  readonly log: LogRecords;
}

/** What `vmlinux` exports before any module is loaded. */
export interface VmlinuxSymbols {
  /** The machine; for built-in modules. */
  machine: Machine;
  /** Write to the kernel log. @param level 0 emerg .. 7 debug; @param text without a newline */
  _printk: (level: number, text: string, unfinished?: boolean) => Atomic;
  /** Keep a refusal that no caller is handed as an error, for `explain`. @param call where it came up: `netlink`, `probe` */
  note_refusal: (call: string, error: KernelError) => Atomic;
}

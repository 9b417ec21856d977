/** `struct mm_struct`: areas, and access through them. Mirrors `mm/mmap.c` and `arch/x86/lib/usercopy.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Mmio, Ram } from '@vdpalab/abi';
import type { Area } from './area.ts';
import type { MmStruct } from './header.ts';

/** One past the last user address of x86-64 with four page table levels. */
export const TASK_SIZE = 0x7fff_ffff_f000;

/** Where mappings start to grow downwards from, without address randomisation. */
const MMAP_BASE = 0x7fff_f7ff_f000;

function fault(mm: AddressSpace, va: number, write: boolean, why: string): KernelError {
  const access = write ? 'write' : 'read';
  return new KernelError('EFAULT', `mm.access.${access}`, `mm ${mm.id}: ${access} of 0x${va.toString(16)}: ${why}`);
}

/** An address space whose pages are this machine's RAM. */
export class AddressSpace implements MmStruct {
  readonly id: number;
  locked_vm = 0;
  pinned_vm = 0;
  /** Sorted, never overlapping. */
  readonly areas: Area[] = [];
  /** `mm_users` */
  users = 1;
  readonly #ram: Ram;
  readonly #mmio: Mmio;
  #last: Area | null = null;

  constructor(id: number, ram: Ram, mmio: Mmio) {
    this.id = id;
    this.#ram = ram;
    this.#mmio = mmio;
  }

  /** The area that holds `va`. */
  find(va: number): Area | null {
    const last = this.#last;
    if (last !== null && va >= last.start && va < last.end) return last;
    const area = this.areas[this.indexAfter(va) - 1];
    if (area === undefined || !(va < area.end)) return null;
    this.#last = area;
    return area;
  }

  /** Index of the first area that starts after `va`. */
  indexAfter(va: number): number {
    let low = 0;
    let high = this.areas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.areas[middle] as Area).start > va) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Areas that have a byte in `[start, end)`. */
  overlapping(start: number, end: number): Area[] {
    return this.areas.filter((area) => area.start < end && area.end > start);
  }

  insert(area: Area): void {
    this.areas.splice(this.indexAfter(area.start), 0, area);
  }

  remove(area: Area): void {
    this.areas.splice(this.areas.indexOf(area), 1);
    this.#last = null;
  }

  /** The highest free range of `len` bytes below the mapping base, or `null`. */
  unmappedArea(len: number): number | null {
    let end = MMAP_BASE;
    for (let i = this.areas.length - 1; i >= 0; i--) {
      const area = this.areas[i] as Area;
      if (area.end <= end - len) break;
      end = Math.min(end, area.start);
    }
    return end - len >= 0x1_0000 ? end - len : null; // mmap_min_addr
  }

  read(va: number, len: number): Uint8Array {
    this.#check(va, len, false);
    const out = new Uint8Array(len);
    this.#pieces(va, len, (area, pa, at, n) => {
      if (area.backing.kind === 'io') this.#readIo(pa, out.subarray(at, at + n));
      else out.set(this.#ram.view(pa, n), at);
    });
    return out;
  }

  write(va: number, bytes: Uint8Array): Atomic {
    this.#check(va, bytes.length, true);
    this.#pieces(va, bytes.length, (area, pa, at, n) => {
      if (area.backing.kind === 'io') this.#writeIo(pa, bytes.subarray(at, at + n));
      else this.#ram.view(pa, n).set(bytes.subarray(at, at + n));
    });
  }

  view(va: number, len: number): Uint8Array | null {
    const area = this.find(va);
    if (area === null || area.backing.kind === 'io' || !area.allows(false)) return null;
    return area.contiguous(va) < len ? null : this.#ram.view(area.physical(va), len);
  }

  translate(va: number, write: boolean): number {
    return this.#access(va, 1, write).physical(va);
  }

  load(va: number, size: 1 | 2 | 4): number {
    const area = this.#access(va, size, false);
    const pa = area.physical(va);
    if (area.backing.kind === 'io') return this.#mmio.read(pa, size);
    const region = this.#ram.find(pa, size);
    if (region === null) throw fault(this, va, false, `no RAM at 0x${pa.toString(16)}`);
    const at = pa - region.base;
    if (size === 1) return region.u8[at] as number;
    return (size === 2 ? region.u16[at / 2] : region.u32[at / 4]) as number;
  }

  store(va: number, size: 1 | 2 | 4, value: number): Atomic {
    const area = this.#access(va, size, true);
    const pa = area.physical(va);
    if (area.backing.kind === 'io') return this.#mmio.write(pa, size, value);
    const region = this.#ram.find(pa, size);
    if (region === null) throw fault(this, va, true, `no RAM at 0x${pa.toString(16)}`);
    const at = pa - region.base;
    if (size === 1) region.u8[at] = value;
    else if (size === 2) region.u16[at / 2] = value;
    else region.u32[at / 4] = value;
  }

  /** The area behind one naturally aligned access. */
  #access(va: number, size: number, write: boolean): Area {
    if (va % size !== 0) throw fault(this, va, write, `not aligned to ${size} bytes`);
    const area = this.find(va);
    if (area === null) throw fault(this, va, write, 'not mapped');
    if (!area.allows(write)) throw fault(this, va, write, `area has prot ${area.prot}`);
    if (area.contiguous(va) < size) throw fault(this, va, write, 'nothing behind the page');
    return area;
  }

  #check(va: number, len: number, write: boolean): void {
    if (len === 0) return;
    if (!Number.isSafeInteger(va) || !(len > 0)) throw fault(this, va, write, `${len} bytes from there`);
    for (let at = va; at < va + len;) {
      const area = this.#access(at, 1, write);
      at += area.contiguous(at);
    }
  }

  #pieces(va: number, len: number, visit: (area: Area, pa: number, at: number, n: number) => void): void {
    for (let at = 0; at < len;) {
      const area = this.find(va + at) as Area; // #check found it
      const n = Math.min(area.contiguous(va + at), len - at);
      visit(area, area.physical(va + at), at, n);
      at += n;
    }
  }

  #readIo(pa: number, out: Uint8Array): void {
    for (let at = 0; at < out.length;) {
      const size = accessSize(pa + at, out.length - at);
      const value = this.#mmio.read(pa + at, size);
      for (let i = 0; i < size; i++) out[at + i] = value >>> (8 * i);
      at += size;
    }
  }

  #writeIo(pa: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const size = accessSize(pa + at, bytes.length - at);
      let value = 0;
      for (let i = 0; i < size; i++) value |= (bytes[at + i] as number) << (8 * i);
      this.#mmio.write(pa + at, size, value >>> 0);
      at += size;
    }
  }
}

/** The widest naturally aligned access, as `memcpy_toio` would choose it. */
function accessSize(pa: number, left: number): 1 | 2 | 4 {
  if (pa % 4 === 0 && left >= 4) return 4;
  return pa % 2 === 0 && left >= 2 ? 2 : 1;
}

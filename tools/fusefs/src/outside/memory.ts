/** Memory of a process of the host, for the lab's kernel: /proc/PID/mem, and mappings of what it shares. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { RamRegion } from '@vdpalab/abi';
import { mappedRegion, remoteRegion, type RemoteSource } from '@vdpalab/machine';
import { addressOf, hostAvailable, moveMany, writeMemory } from '@vdpalab/libc';
import type { ForeignArea, ForeignMemory } from '@vdpalab/mm';
import { PROT_WRITE } from '@vdpalab/uapi';
import { hostAreas } from './areas.ts';
import type { HostArea } from './areas.ts';
import { mapShared } from './shared.ts';
import type { SharedMapping } from './shared.ts';

/** From how many pieces on one call for all, and one to ask who is there, are the quicker way. */
const WORTH_A_CALL = 3;
const probe = new Uint8Array(1);

type Move = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) => number;

/** One opening of a process's memory: it stays with what the process ran then, and reads nothing once that has ended. */
class MemFile {
  /** -1 once nobody uses it. */
  #fd: number;
  #users = 1;

  /** @throws Error when the process is gone, or not ours to trace */
  constructor(pid: number) {
    this.#fd = openSync(`/proc/${pid}/mem`, 'r+');
  }

  get(): this {
    this.#users++;
    return this;
  }

  put(): undefined {
    if (--this.#users > 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Whether the process still runs what it ran. @param va somewhere in its memory */
  isThere(va: number): boolean {
    return this.read(probe, 0, 1, va) !== 0;
  }

  /** @returns bytes read, 0 when the process has ended or runs something else, -1 at what is not mapped */
  read(into: Uint8Array, at: number, length: number, va: number): number {
    return this.#move(readSync, into, at, length, va);
  }

  write(from: Uint8Array, at: number, length: number, va: number): number {
    return this.#move(writeSync, from, at, length, va);
  }

  #move(call: Move, bytes: Uint8Array, at: number, length: number, va: number): number {
    if (this.#fd < 0) return 0;
    let done = 0;
    try {
      while (done < length) {
        const n = call(this.#fd, bytes, at + done, length - done, va + done);
        if (n === 0) break;
        done += n;
      }
    } catch {
      return done === 0 ? -1 : done; // EIO: not mapped so
    }
    return done;
  }
}

/** The other side of a mirror. */
class Remote implements RemoteSource {
  readonly #pid: number;
  readonly #mem: MemFile;
  readonly #mirror: Uint8Array;
  /** Where the mirror's first byte is, here; -1 when many pieces cannot be moved together. */
  readonly #here: number;
  /** And there. */
  readonly #va: number;

  constructor(pid: number, mem: MemFile, mirror: Uint8Array, va: number) {
    this.#pid = pid;
    this.#mem = mem;
    this.#mirror = mirror;
    this.#va = va;
    this.#here = hostAvailable() ? Number(addressOf(mirror)) : -1;
  }

  readonly pull = (offset: number, length: number): undefined => {
    this.#mem.read(this.#mirror, offset, length, this.#va + offset);
  };

  readonly push = (offset: number, length: number): undefined => {
    this.#mem.write(this.#mirror, offset, length, this.#va + offset);
  };

  readonly pullMany = (offsets: Uint32Array, lengths: Uint32Array, count: number): undefined => this.#many('in', offsets, lengths, count);

  readonly pushMany = (offsets: Uint32Array, lengths: Uint32Array, count: number): undefined => this.#many('out', offsets, lengths, count);

  #many(way: 'in' | 'out', offsets: Uint32Array, lengths: Uint32Array, count: number): undefined {
    let moved = 0;
    // The call goes by number of the process, whatever that runs by now.
    if (count >= WORTH_A_CALL && this.#here >= 0 && this.#mem.isThere(this.#va)) {
      moved = moveMany(way, this.#pid, this.#here, this.#va, offsets, lengths, count);
    }
    const one = way === 'in' ? this.pull : this.push;
    for (let i = 0, end = 0; i < count; i++) {
      end += lengths[i]!;
      if (end > moved) one(offsets[i]!, lengths[i]!);
    }
  }
}

/** {@link ForeignMemory} of a process. */
export class HostMemory implements ForeignMemory {
  readonly #pid: number;
  #mem: MemFile | null = null;
  /** What stands behind each region. */
  readonly #regions = new Map<RamRegion, MemFile | SharedMapping>();
  #closed = false;

  constructor(pid: number) {
    this.#pid = pid;
  }

  areas(): readonly HostArea[] {
    return hostAreas(this.#pid);
  }

  read(va: number, len: number): Uint8Array | null {
    const bytes = new Uint8Array(len);
    return this.#whole(len, (mem) => mem.read(bytes, 0, len, va)) ? bytes : null;
  }

  write(va: number, bytes: Uint8Array): boolean {
    // Through /proc/PID/mem even what is mapped read-only can be written.
    if (hostAvailable()) return !this.#closed && writeMemory(this.#pid, BigInt(va), bytes) === bytes.length;
    const end = va + bytes.length;
    let at = va;
    for (const area of this.areas()) if (area.start <= at && at < area.end && (area.prot & PROT_WRITE) !== 0) at = area.end;
    return at >= end && this.#whole(bytes.length, (mem) => mem.write(bytes, 0, bytes.length, va));
  }

  region(base: number, va: number, size: number, area: ForeignArea): RamRegion {
    const shared = mapShared(this.#pid, area as HostArea, va, size); // one of areas()
    if (shared !== null) {
      const region = mappedRegion(base, size, shared.buffer, shared.byteOffset);
      this.#regions.set(region, shared);
      return region;
    }
    const mem = this.#open();
    if (mem === null) throw new Error(`process ${this.#pid} is gone, or may not be looked into`);
    const kept = mem.get();
    const region = remoteRegion(base, size, (mirror) => new Remote(this.#pid, kept, mirror, va));
    this.#regions.set(region, kept);
    return region;
  }

  release(region: RamRegion): undefined {
    this.#regions.get(region)?.put();
    this.#regions.delete(region);
  }

  close(): undefined {
    this.#closed = true;
    this.#mem?.put();
    this.#mem = null;
  }

  /** Move all or nothing. A process that has begun another program is opened anew. */
  #whole(length: number, move: (mem: MemFile) => number): boolean {
    const mem = this.#open();
    if (mem === null) return false;
    const done = move(mem);
    if (done !== 0) return done === length;
    mem.put();
    this.#mem = null;
    const again = this.#open();
    return again !== null && move(again) === length;
  }

  #open(): MemFile | null {
    if (this.#closed) return null;
    try {
      this.#mem ??= new MemFile(this.#pid);
    } catch { /* what asks gets EFAULT */ }
    return this.#mem;
  }
}

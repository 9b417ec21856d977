/**
 * Copies between ring memories.
 *
 * `Uint8Array.set` and `copyWithin` on shared memory copy by relaxed atomics, two to three times slower than plain
 * memory; WebAssembly's `memory.copy` does not, but works within one memory only. So: small copies by words, copies
 * inside a WebAssembly memory by a 57-byte module, all others through a second view.
 */
import type { RingMemory, WasmMemory } from './memory.ts';

/** Copy bytes inside one memory; offsets count from the start of its buffer. Overlap is fine. */
export type CopyInside = (to: number, from: number, length: number) => unknown;

interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: { readonly c: CopyInside } };
}

/**
 * A WebAssembly module that imports the memory `m.m` and exports `c(to, from, length)`, one `memory.copy`.
 *
 * @param shared whether the memory it is for is shared: that is part of the import's type
 */
export function copyModuleBytes(shared: boolean): Uint8Array {
  // Limits: flags (1 maximum given, 2 shared), minimum 0 pages, maximum 65536 pages in LEB128.
  const limits = shared ? [0x03, 0x00, 0x80, 0x80, 0x04] : [0x00, 0x00];
  const memoryImport = [0x01, 0x01, 0x6d, 0x01, 0x6d, 0x02, ...limits];
  return Uint8Array.of(
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // "\0asm", version 1
    ...[0x01, 0x07, 0x01, 0x60, 0x03, 0x7f, 0x7f, 0x7f, 0x00], // types: (i32, i32, i32) -> ()
    ...[0x02, memoryImport.length, ...memoryImport], // imports: memory "m" "m"
    ...[0x03, 0x02, 0x01, 0x00], // functions: one of type 0
    ...[0x07, 0x05, 0x01, 0x01, 0x63, 0x00, 0x00], // exports: "c" = function 0
    ...[0x0a, 0x0e, 0x01, 0x0c, 0x00], // code: one body without locals
    ...[0x20, 0x00, 0x20, 0x01, 0x20, 0x02], // local.get 0, 1, 2
    ...[0xfc, 0x0a, 0x00, 0x00, 0x0b], // memory.copy 0 0, end
  );
}

/** Instances by memory: making one costs tens of microseconds. Holds nothing alive. */
const instances = new WeakMap<WasmMemory, CopyInside>();

function wasmCopy(memory: WasmMemory): CopyInside | null {
  const known = instances.get(memory);
  if (known !== undefined) return known;
  const api = (globalThis as { WebAssembly?: WasmApi }).WebAssembly;
  if (api === undefined) return null;
  const shared = !(memory.buffer instanceof ArrayBuffer);
  try {
    const instance = new api.Instance(new api.Module(copyModuleBytes(shared)), { m: { m: memory } });
    instances.set(memory, instance.exports.c);
    return instance.exports.c;
  } catch {
    return null; // Not a real WebAssembly memory, or an engine without bulk memory: plain views still work.
  }
}

/** The quickest way to copy inside a memory: `memory.copy`, else `copyWithin`. */
export function copyInside(memory: RingMemory): CopyInside {
  const fast = memory.memory === null ? null : wasmCopy(memory.memory);
  if (fast !== null) return fast;
  const bytes = new Uint8Array(memory.buffer);
  return (to, from, length) => bytes.copyWithin(to, from, from + length);
}

/** Below this many bytes a byte loop beats a call. */
const LOOP_BYTES = 16;
/** Below this many bytes a word loop beats a call. */
const LOOP_WORD_BYTES = 64;

/** Copies bytes between memories; remembers how for the memory it wrote last. */
export class Copier {
  private target: RingMemory | null = null;
  private inside: CopyInside | null = null;

  /**
   * Copy bytes; the caller has checked both ranges.
   *
   * @param toOffset bytes from the start of `to`
   * @param fromOffset bytes from the start of `from`
   */
  copy(to: RingMemory, toOffset: number, from: RingMemory, fromOffset: number, length: number): undefined {
    if (length < LOOP_WORD_BYTES) {
      if (((toOffset | fromOffset | length) & 3) === 0) {
        const source = from.u32;
        const target = to.u32;
        const words = length >>> 2;
        const s = fromOffset >>> 2;
        const t = toOffset >>> 2;
        for (let i = 0; i < words; i++) target[t + i] = source[s + i]!;
        return;
      }
      if (length < LOOP_BYTES) {
        const source = from.u8;
        const target = to.u8;
        for (let i = 0; i < length; i++) target[toOffset + i] = source[fromOffset + i]!;
        return;
      }
    }
    this.copyLong(to, toOffset, from, fromOffset, length);
  }

  private copyLong(to: RingMemory, toOffset: number, from: RingMemory, fromOffset: number, length: number): undefined {
    if (to.buffer !== from.buffer) {
      to.u8.set(new Uint8Array(from.buffer, from.byteOffset + fromOffset, length), toOffset);
      return;
    }
    if (this.target !== to || this.inside === null) {
      this.target = to;
      this.inside = copyInside(to);
    }
    this.inside(to.byteOffset + toOffset, from.byteOffset + fromOffset, length);
  }
}

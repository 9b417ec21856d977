/** Memory keys: the translation on the chip, in front of the platform's. */
import {
  MLX5_MKC_ACCESS_MODE_KLMS, MLX5_MKC_ACCESS_MODE_MTT, MLX5_MKC_ACCESS_MODE_PA, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO,
} from '@vdpalab/uapi';
import { ObjectTable } from './objects.ts';
import { Refusal } from './refusal.ts';

/** Keys there can be. */
export const LOG_MAX_MKEY = 14;
/** Spans of an indirect key at most. */
export const LOG_MAX_KLMS = 10;
/** The null key, which holes name. */
export const NULL_MKEY = 0x100;
/** Keys that name keys that name keys: hostile ones could go round. */
const DEEPEST = 4;
const FOUR_GIB = 2 ** 32;

/** What stage one says no to. */
export type KeyFaultReason = 'unknown-key' | 'other-function' | 'null-key' | 'out-of-range' | 'permission' | 'too-deep';

/** A refused access of stage one. */
export interface KeyFault {
  readonly stage: 'key';
  readonly vhca: number;
  readonly key: number;
  /** Address under that key. */
  readonly address: number;
  /** The key that refused: the same, or one that it leads to. */
  readonly by: number;
  readonly write: boolean;
  readonly reason: KeyFaultReason;
}

/** A contiguous part of a key's range. */
interface Span {
  /** First address under the key, and bytes. */
  readonly start: number;
  readonly length: number;
}

/** Bus addresses. */
interface BusSpan extends Span {
  readonly bus: number;
}

/** Another key's addresses. */
interface KeySpan extends Span {
  readonly key: number;
  readonly va: number;
}

/** What CREATE_MKEY says. */
export interface MemoryKeySettings {
  readonly vhca: number;
  /** MLX5_MKC_ACCESS_MODE_* */
  readonly mode: number;
  /** VHOST_ACCESS_* */
  readonly access: number;
  readonly variant: number;
  readonly start: number;
  readonly length: number;
  readonly spans: readonly (BusSpan | KeySpan)[];
}

/** A key in use. */
export interface MemoryKey extends MemoryKeySettings {
  readonly key: number;
  /** Queues that use it. */
  users: number;
}

/** Bytes of 2^`logPageSize` at bus addresses; neighbours are one span. @throws Refusal BAD_PARAM when there are too few */
export function mttSpans(start: number, length: number, logPageSize: number, pages: readonly number[]): BusSpan[] {
  const size = 2 ** logPageSize;
  if (pages.length < Math.ceil(length / size)) throw new Refusal('key.translations');
  const spans: { start: number; length: number; bus: number }[] = [];
  for (let done = 0, i = 0; done < length; done += size, i++) {
    const n = Math.min(size, length - done);
    const last = spans.at(-1);
    if (last !== undefined && last.bus + last.length === pages[i]) last.length += n;
    else spans.push({ start: start + done, length: n, bus: pages[i]! });
  }
  return spans;
}

/** Spans of other keys, one after the other. @throws Refusal BAD_PARAM when they do not fill the key */
export function klmSpans(start: number, length: number, klms: readonly { readonly bcount: number; readonly key: number; readonly va: number }[]): KeySpan[] {
  const spans: KeySpan[] = [];
  let done = 0;
  for (const { bcount, key, va } of klms) {
    if (done >= length) break;
    const bytes = bcount === 0 ? FOUR_GIB : bcount;
    spans.push({ start: start + done, length: Math.min(bytes, length - done), key, va });
    done += bytes;
  }
  if (done < length) throw new Refusal('key.translations');
  return spans;
}

/** All keys of the device, and the answer to the last question. */
export class MemoryKeys {
  /** Changes when a key goes away. */
  generation = 1;
  /** After {@link resolve}: where the address is on the bus, the span it lies in, and what may be done there. */
  bus = 0;
  before = 0;
  after = 0;
  access = 0;
  /** After a refusal. */
  reason: KeyFaultReason = 'unknown-key';
  /** The key that refused. */
  refusedKey = 0;
  private readonly keys = new ObjectTable<MemoryKey>(2, (1 << LOG_MAX_MKEY) - 1); // 1 is the null key's

  get size(): number {
    return this.keys.size;
  }

  /** @returns the key's number, without its variant. @throws Refusal NO_RES */
  create(settings: MemoryKeySettings): number {
    return this.keys.add((number) => ({ ...settings, key: ((number << 8) | settings.variant) >>> 0, users: 0 }));
  }

  /** A function's key. @throws Refusal BAD_RES */
  own(vhca: number, key: number): MemoryKey {
    const found = this.keys.peek(key >>> 8);
    if (found === undefined || found.vhca !== vhca || found.key !== key) throw new Refusal('object.unknown');
    return found;
  }

  /** @throws Refusal BAD_RES; RES_BUSY while a queue uses it */
  destroy(vhca: number, number: number): undefined {
    const key = this.keys.get(number);
    if (key.vhca !== vhca) throw new Refusal('object.unknown');
    if (key.users > 0) throw new Refusal('object.busy');
    this.keys.remove(number);
    this.generation++;
  }

  /** All keys of a function. */
  destroyAll(vhca: number): undefined {
    for (const key of [...this.keys.values()]) if (key.vhca === vhca) this.keys.remove(key.key >>> 8);
    this.generation++;
  }

  /**
   * Stage one: from an address under a function's key to the bus.
   *
   * @returns false when it is refused, and `reason` and `refusedKey` say why
   */
  resolve(vhca: number, key: number, address: number, write: boolean): boolean {
    this.access = VHOST_ACCESS_RW;
    this.before = Number.MAX_SAFE_INTEGER;
    this.after = Number.MAX_SAFE_INTEGER;
    return this.step(vhca, key, address, write ? VHOST_ACCESS_WO : VHOST_ACCESS_RO, 0);
  }

  private step(vhca: number, key: number, address: number, want: number, depth: number): boolean {
    const found = this.keys.peek(key >>> 8);
    if (key === NULL_MKEY) return this.refuse('null-key', key);
    if (found === undefined || found.key !== key) return this.refuse('unknown-key', key);
    if (found.vhca !== vhca) return this.refuse('other-function', key);
    if (address < found.start || address - found.start >= found.length) return this.refuse('out-of-range', key);
    if ((found.access & want) === 0) return this.refuse('permission', key);
    this.access &= found.access;
    if (found.mode === MLX5_MKC_ACCESS_MODE_PA) {
      this.narrow(address - found.start, found.start + found.length - address);
      this.bus = address;
      return true;
    }
    const span = spanOf(found.spans, address);
    const into = address - span.start;
    this.narrow(into, span.length - into);
    if (found.mode === MLX5_MKC_ACCESS_MODE_MTT) {
      this.bus = (span as BusSpan).bus + into; // by its mode
      return true;
    }
    if (depth === DEEPEST) return this.refuse('too-deep', key);
    const { key: inner, va } = span as KeySpan; // by its mode
    return this.step(vhca, inner, va + into, want, depth + 1);
  }

  private narrow(before: number, after: number): undefined {
    this.before = Math.min(this.before, before);
    this.after = Math.min(this.after, after);
  }

  private refuse(reason: KeyFaultReason, key: number): boolean {
    this.reason = reason;
    this.refusedKey = key;
    return false;
  }
}

/** The span of an address that lies in one, by halving. */
function spanOf(spans: MemoryKeySettings['spans'], address: number): BusSpan | KeySpan {
  let low = 0;
  let high = spans.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (spans[middle]!.start <= address) low = middle;
    else high = middle - 1;
  }
  return spans[low]!;
}

/** Modes that are known. */
export const KEY_MODES: readonly number[] = [MLX5_MKC_ACCESS_MODE_PA, MLX5_MKC_ACCESS_MODE_MTT, MLX5_MKC_ACCESS_MODE_KLMS];

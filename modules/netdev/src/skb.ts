/** Frames. Mirrors `net/core/skbuff.c` (Linux 6.1), with pages where Linux has a head and fragments. */
import type { MmSymbols, PageRun } from '@vdpalab/mm';
import type { NetDevice, NetdevSymbols, SkBuff, SkbFrag } from './header.ts';
import { PagePool } from './page-pool.ts';

const PAGE_SIZE = 4096;

/** `struct sk_buff` */
export class Skb implements SkBuff {
  dev: NetDevice | null = null;
  readonly frags: readonly SkbFrag[];
  readonly len: number;
  readonly headroom: number;
  /** Memory behind it. */
  readonly runs: readonly PageRun[];
  /** Whether the runs are pages of the pool. */
  readonly pooled: boolean;
  /** Holders; the last one frees. */
  users = 1;
  /** Socket that sent it, which does not hear itself. */
  sender: unknown = null;
  queue_mapping = 0;
  /** Packet sockets have heard it leave. */
  tapped = false;

  constructor(runs: readonly PageRun[], frags: readonly SkbFrag[], headroom: number, pooled: boolean) {
    this.runs = runs;
    this.frags = frags;
    this.headroom = headroom;
    this.pooled = pooled;
    let len = 0;
    for (const frag of frags) len += frag.len;
    this.len = len;
  }
}

/** Frames of one kernel. */
export interface Skbs {
  readonly symbols: Pick<NetdevSymbols, 'alloc_skb' | 'build_skb' | 'kfree_skb' | 'skb_copy_bits' | 'skb_store_bits'>;
  /** The frame behind a handle. @throws Error (a lab bug) when it was freed */
  readonly own: (skb: SkBuff) => Skb;
  /** A further holder: `skb_get`. */
  readonly get: (skb: Skb) => Skb;
  /** The first bytes, at most `count`: a view where they are contiguous. */
  readonly head: (skb: Skb, count: number) => Uint8Array;
  /** Let the page allocator have what is kept while no frame is alive. */
  readonly drain: () => undefined;
  readonly leftovers: () => string[];
}

/** Make the frames of one kernel. */
export function createSkbs(mm: Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>): Skbs {
  const pool = new PagePool(mm);
  let alive = 0;
  /** The last network device went while frames were alive: what they held is not kept. */
  let draining = false;

  function own(skb: SkBuff): Skb {
    if (!(skb instanceof Skb)) throw new Error('netdev: not a frame of this kernel');
    if (skb.users <= 0) throw new Error('netdev: a frame is used after it was freed');
    return skb;
  }

  function made(skb: Skb): Skb {
    alive++;
    draining = false;
    return skb;
  }

  function free(skb: SkBuff): undefined {
    const frame = own(skb);
    if (--frame.users > 0) return;
    alive--;
    for (const run of frame.runs) {
      if (frame.pooled) pool.give(run);
      else mm.free_pages(run);
    }
    if (draining && alive === 0) pool.drain();
  }

  return {
    own,
    get(skb) {
      skb.users++;
      return skb;
    },
    head: (skb, count) => {
      const [first] = skb.frags;
      const wanted = Math.min(count, skb.len);
      if (first !== undefined && first.len >= wanted) return mm.phys_view(first.pa, wanted);
      return copyBits(mm, skb, wanted);
    },
    drain() {
      draining = true;
      if (alive === 0) pool.drain();
    },
    leftovers: () => (alive === 0 ? [] : [`${alive} network frames`]),
    symbols: {
      alloc_skb(len, headroom) {
        const { pages, frags } = takePages(pool, len, headroom);
        return made(new Skb(pages, frags, headroom, true));
      },
      build_skb(runs, frags) {
        const [first] = frags;
        const run = runs.find(({ pa, pages }) => first !== undefined && first.pa >= pa && first.pa < pa + pages * PAGE_SIZE);
        const headroom = first === undefined || run === undefined ? 0 : first.pa - run.pa;
        return made(new Skb(runs, frags, headroom, false));
      },
      kfree_skb: free,
      skb_copy_bits: (skb) => copyBits(mm, own(skb), skb.len),
      skb_store_bits(skb, bytes) {
        if (bytes.length > own(skb).len) throw new RangeError(`${bytes.length} bytes into a frame of ${skb.len}`);
        let at = 0;
        for (const { pa, len } of skb.frags) {
          if (at === bytes.length) return;
          const n = Math.min(len, bytes.length - at);
          mm.phys_view(pa, n).set(bytes.subarray(at, at + n));
          at += n;
        }
      },
    },
  };
}

/** Pages for a frame: the first begins behind the headroom, the others are full. @throws ENOMEM; nothing is held then */
function takePages(pool: PagePool, len: number, headroom: number): { pages: PageRun[]; frags: SkbFrag[] } {
  if (headroom >= PAGE_SIZE) throw new RangeError(`headroom of ${headroom} bytes: at most a page less one byte`);
  const pages: PageRun[] = [];
  const frags: SkbFrag[] = [];
  try {
    let left = len;
    let offset = headroom;
    do {
      const page = pool.take();
      pages.push(page);
      const n = Math.min(left, PAGE_SIZE - offset);
      frags.push({ pa: page.pa + offset, len: n });
      left -= n;
      offset = 0;
    } while (left > 0);
  } catch (error) {
    for (const page of pages) pool.give(page);
    throw error;
  }
  return { pages, frags };
}

function copyBits(mm: Pick<MmSymbols, 'phys_view'>, skb: Skb, count: number): Uint8Array {
  const out = new Uint8Array(count);
  let at = 0;
  for (const { pa, len } of skb.frags) {
    if (at === count) break;
    const n = Math.min(len, count - at);
    out.set(mm.phys_view(pa, n), at);
    at += n;
  }
  return out;
}

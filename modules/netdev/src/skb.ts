/** Socket buffers over physical pages. Mirrors `net/core/skbuff.c` (Linux 6.1), without clones. */
import type { Atomic } from '@vdpalab/abi';
import type { MmSymbols, PageRun } from '@vdpalab/mm';
import type { NetDevice, NetdevSymbols, SkbFrag, SkBuff } from './header.ts';

const PAGE_SIZE = 4096;
/** Runs of one size that are kept for the next frame. */
const POOL_MAX = 64;

/** `struct sk_buff` with the pages it owns. */
class Skb implements SkBuff {
  dev: NetDevice | null = null;
  readonly frags: readonly SkbFrag[];
  readonly len: number;
  readonly headroom: number;
  runs: readonly PageRun[] | null;

  constructor(runs: readonly PageRun[], frags: readonly SkbFrag[], headroom: number) {
    this.runs = runs;
    this.frags = frags;
    this.len = frags.reduce((sum, frag) => sum + frag.len, 0);
    this.headroom = headroom;
  }
}

/** Frames and the pages kept for them. */
export interface Skbs {
  readonly symbols: Pick<NetdevSymbols, 'alloc_skb' | 'build_skb' | 'kfree_skb' | 'skb_copy_bits' | 'skb_store_bits'>;
  /** Frames alive. */
  readonly alive: () => number;
  /** Give the kept pages back. */
  readonly drain: () => Atomic;
}

/**
 * Make the frames of one kernel.
 *
 * @param keeps whether pages of freed frames are kept: drivers free frames after their last interface is gone, too
 */
export function createSkbs(k: Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>, keeps: () => boolean): Skbs {
  const pool = new Map<number, PageRun[]>();
  let alive = 0;

  const take = (pages: number): PageRun => pool.get(pages)?.pop() ?? k.alloc_pages(pages);

  function give(run: PageRun): void {
    const kept = pool.get(run.pages) ?? [];
    if (kept.length >= POOL_MAX || !keeps()) {
      k.free_pages(run);
      return;
    }
    kept.push(run);
    pool.set(run.pages, kept);
  }

  function own(skb: SkBuff): Skb & { runs: readonly PageRun[] } {
    if (!(skb instanceof Skb) || skb.runs === null) throw new Error('a frame that is freed already, or none of this kernel');
    return skb as Skb & { runs: readonly PageRun[] };
  }

  return {
    alive: () => alive,
    drain() {
      for (const runs of pool.values()) for (const run of runs) k.free_pages(run);
      pool.clear();
      return undefined;
    },
    symbols: {
      alloc_skb(len, headroom) {
        const run = take(Math.max(1, Math.ceil((len + headroom) / PAGE_SIZE)));
        alive++;
        return new Skb([run], [{ pa: run.pa + headroom, len }], headroom);
      },
      build_skb(runs, frags) {
        const [first] = frags;
        const [run] = runs;
        alive++;
        return new Skb(runs, frags, first === undefined || run === undefined ? 0 : first.pa - run.pa);
      },
      kfree_skb(skb) {
        const mine = own(skb);
        for (const run of mine.runs) give(run);
        (skb as Skb).runs = null;
        alive--;
        return undefined;
      },
      skb_copy_bits(skb) {
        const bytes = new Uint8Array(own(skb).len);
        let at = 0;
        for (const { pa, len } of skb.frags) {
          bytes.set(k.phys_view(pa, len), at);
          at += len;
        }
        return bytes;
      },
      skb_store_bits(skb, bytes) {
        if (bytes.length > own(skb).len) throw new RangeError(`${bytes.length} bytes into a frame of ${skb.len}`);
        let at = 0;
        for (const { pa, len } of skb.frags) {
          k.phys_view(pa, len).set(bytes.subarray(at, at + len));
          at += len;
        }
        return undefined;
      },
    },
  };
}

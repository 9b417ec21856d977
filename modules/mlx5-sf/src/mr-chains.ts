/** How a table falls into keys: neighbours with the same rights together, at most 1 GiB each. Mirrors `create_user_mr` (Linux 6.1). */
import type { VhostIotlb, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';

/** `MAX_KLM_SIZE` */
const LONGEST = 2 ** 30;
const LAST = (1n << 64n) - 1n;

/** Memory in one piece. */
export interface Piece {
  /** Physical address. */
  readonly pa: number;
  readonly size: number;
}

/** What one key of pages covers. */
export interface Chain {
  /** Address that the driver uses. */
  readonly start: bigint;
  readonly length: number;
  /** VHOST_ACCESS_* */
  readonly perm: number;
  /** Bytes between the chain before and this one. */
  readonly hole: number;
  readonly pieces: readonly Piece[];
}

interface Open {
  readonly start: bigint;
  readonly perm: number;
  length: number;
  readonly hole: number;
  readonly pieces: Piece[];
}

/** The chains of a table, in the order of addresses. */
export function chainsOf(k: Pick<VhostIotlbSymbols, 'vhost_iotlb_itree_first' | 'vhost_iotlb_itree_next'>, iotlb: VhostIotlb): readonly Chain[] {
  const chains: Open[] = [];
  let end: bigint | null = null;
  for (let map = k.vhost_iotlb_itree_first(iotlb, 0n, LAST); map !== null; map = k.vhost_iotlb_itree_next(iotlb, map, 0n, LAST)) {
    const size = Number(map.size);
    for (let done = 0; done < size; ) {
      const start = map.start + BigInt(done);
      const open = chains.at(-1);
      const grows = open !== undefined && end === start && open.perm === map.perm && open.length < LONGEST;
      const chain: Open = grows ? open : { start, perm: map.perm, length: 0, hole: end === null ? 0 : Number(start - end), pieces: [] };
      if (!grows) chains.push(chain);
      const bytes = Math.min(size - done, LONGEST - chain.length);
      chain.pieces.push({ pa: Number(map.addr) + done, size: bytes });
      chain.length += bytes;
      done += bytes;
      end = start + BigInt(bytes);
    }
  }
  return chains;
}

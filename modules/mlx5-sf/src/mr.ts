/** Memory keys: an address space as the device translates it. Mirrors `core/mr.c` (Linux 6.1). */
import { UndoStack, withUndo } from '@vdpalab/abi';
import type { Mlx5CoreDev } from '@vdpalab/mlx5-core';
import {
  MLX5_MKC_ACCESS_MODE_KLMS, MLX5_MKC_ACCESS_MODE_MTT, MLX5_MKC_ACCESS_MODE_PA, mlx5_create_mkey_in, mlx5_klm, VHOST_ACCESS_RO, VHOST_ACCESS_WO,
} from '@vdpalab/uapi';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';
import type { VnetKernel } from './kernel.ts';
import { chainsOf } from './mr-chains.ts';
import type { Chain } from './mr-chains.ts';

const ANY_QP = 0xff_ffff;
/** `klm_byte_size`: spans come in fours. */
const KLM_ALIGN = 4;
const MTT_SIZE = 8;

/** What keys are made with. */
export interface KeyMaker {
  readonly k: VnetKernel;
  readonly mdev: Mlx5CoreDev;
  readonly pdn: number;
  readonly nullMkey: number;
}

/** `struct mlx5_vdpa_mr`: the key of an address space, and what gives it back. */
export interface MemoryRegion {
  readonly mkey: number;
  /** Queues, and the device, that have it. */
  refs: number;
  /** Destroys keys and mappings, the last made first. */
  readonly undo: UndoStack;
}

type Fields = Parameters<typeof mlx5_create_mkey_in.make>[0];

async function createKey({ k, mdev, pdn }: KeyMaker, undo: UndoStack, fields: Fields, tail: Uint8Array): Promise<number> {
  const input = mlx5_create_mkey_in.make({ qpn: ANY_QP, pd: pdn, ...fields }, tail.length);
  input.set(tail, mlx5_create_mkey_in.size);
  const mkey = await k.mlx5_core_create_mkey(mdev, input);
  undo.push(`memory key 0x${mkey.toString(16)}`, () => k.mlx5_core_destroy_mkey(mdev, mkey));
  return mkey;
}

/** Map a chain for the device's DMA, and make a key of its pages. @see `map_direct_mr`, `create_direct_mr` */
async function createDirect(maker: KeyMaker, undo: UndoStack, { length, perm, pieces }: Chain): Promise<number> {
  const { k, mdev: { pdev } } = maker;
  const mapped = pieces.map(({ pa, size }) => {
    const dma = k.dma_map_single(pdev.dev, pa, size, 'DMA_BIDIRECTIONAL');
    undo.push('DMA mapping', () => void k.dma_unmap_single(pdev.dev, dma, size, 'DMA_BIDIRECTIONAL'));
    return { dma, size };
  });
  const logSize = largestPage(mapped);
  const page = 2 ** logSize;
  const mtt = new Uint8Array((length / page) * MTT_SIZE);
  const view = new DataView(mtt.buffer);
  let at = 0;
  for (const { dma, size } of mapped) {
    for (let done = 0; done < size; done += page, at += MTT_SIZE) view.setBigUint64(at, BigInt(dma + done));
  }
  return await createKey(maker, undo, {
    access_mode_1_0: MLX5_MKC_ACCESS_MODE_MTT, lr: Number((perm & VHOST_ACCESS_RO) !== 0), lw: Number((perm & VHOST_ACCESS_WO) !== 0),
    start_addr: 0n, len: BigInt(length), log_page_size: logSize, translations_octword_size: octwords(length, page), translations_octword_actual_size: octwords(length, page),
  }, mtt);
}

/** log2 of the largest page that every piece is made of and begins at. */
function largestPage(pieces: readonly { readonly dma: number; readonly size: number }[]): number {
  let log = 30; // a chain is no longer
  for (const { dma, size } of pieces) while (dma % 2 ** log !== 0 || size % 2 ** log !== 0) log--;
  return log;
}

/** `get_octo_len` */
function octwords(length: number, page: number): number {
  return Math.ceil(length / page / 2);
}

/**
 * Make the key of a table: a key of pages for each chain, and one on top that names them in order, with the null key where nothing is mapped.
 * What fails leaves nothing behind.
 *
 * @throws what a mapping or the firmware answers
 * @see `create_user_mr`
 */
export async function createUserMr(maker: KeyMaker, iotlb: VhostIotlb): Promise<MemoryRegion> {
  const undo = new UndoStack();
  return await withUndo(undo, async () => {
    const chains = chainsOf(maker.k, iotlb);
    const klms: { bcount: number; key: number }[] = [];
    for (const chain of chains) {
      if (chain.hole > 0) klms.push(...spansOf(chain.hole, maker.nullMkey));
      klms.push({ bcount: chain.length, key: await createDirect(maker, undo, chain) });
    }
    const [first] = chains;
    const last = chains.at(-1);
    if (first === undefined || last === undefined) throw new Error('mlx5_vdpa: a key of an empty table'); // callers have looked
    const tail = new Uint8Array(Math.ceil(klms.length / KLM_ALIGN) * KLM_ALIGN * mlx5_klm.size);
    for (const [i, klm] of klms.entries()) tail.set(mlx5_klm.make(klm), i * mlx5_klm.size);
    const mkey = await createKey(maker, undo, {
      access_mode_1_0: MLX5_MKC_ACCESS_MODE_KLMS, lr: 1, lw: 1, start_addr: first.start, len: last.start + BigInt(last.length) - first.start,
      translations_octword_size: tail.length / mlx5_klm.size, translations_octword_actual_size: klms.length,
    }, tail);
    return { mkey, refs: 1, undo };
  });
}

/** A hole as spans of at most 1 GiB. */
function spansOf(hole: number, key: number): { bcount: number; key: number }[] {
  const spans = [];
  for (let left = hole; left > 0; left -= 2 ** 30) spans.push({ bcount: Math.min(left, 2 ** 30), key });
  return spans;
}

/** The key of all memory, as the DMA API gives it out. @see `create_dma_mr` */
export async function createDmaMr(maker: KeyMaker): Promise<MemoryRegion> {
  const undo = new UndoStack();
  const mkey = await createKey(maker, undo, { access_mode_1_0: MLX5_MKC_ACCESS_MODE_PA, length64: 1, lr: 1, lw: 1 }, new Uint8Array(0));
  return { mkey, refs: 1, undo };
}

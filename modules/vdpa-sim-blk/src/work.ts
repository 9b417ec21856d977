/** What the simulator does with its requests. Mirrors `vdpasim_blk_work` of `drivers/vdpa/vdpa_sim/vdpa_sim_blk.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { SchedSymbols } from '@vdpalab/sched';
import {
  VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
  VIRTIO_CONFIG_S_DRIVER_OK, virtio_blk_discard_write_zeroes, virtio_blk_outhdr,
} from '@vdpalab/uapi';
import type { Vdpasim, VdpasimVirtqueue } from '@vdpalab/vdpa-sim';
import type { VringhKiov, VringhSymbols } from '@vdpalab/vringh';
import { onDisk, SECTOR_SIZE, TRANSFER_MAX_SECTORS, VDPASIM_BLK_DWZ_MAX_SECTORS } from './geometry.ts';

/** What serving requests takes. */
export type WorkSymbols =
  & Pick<VringhSymbols,
    | 'vringh_getdesc_iotlb' | 'vringh_iov_pull_iotlb' | 'vringh_iov_push_iotlb' | 'vringh_complete_iotlb' | 'vringh_need_notify_iotlb'
    | 'vringh_kiov_advance'>
  & Pick<SchedSymbols, 'queue_work' | 'system_wq'>;

/** Requests one turn of the work serves. */
const BUDGET = 5;
const NONE = -1;

const vdpasim_blk_id = new Uint8Array(VIRTIO_BLK_ID_BYTES);
vdpasim_blk_id.set(Array.from('vdpa_blk_sim', (c) => c.charCodeAt(0)));

/** Serve the queue; a request that cannot be answered ends the turn. */
export function serveQueue(k: WorkSymbols, sim: Vdpasim): Atomic {
  if (!sim.running || (sim.status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) return;
  for (const vq of sim.vqs) {
    if (!vq.ready) continue;
    for (let served = 0; ; served++) {
      if (served === BUDGET) {
        k.queue_work(k.system_wq, sim.work);
        break;
      }
      if (!serveRequest(k, sim, vq)) break;
      if (k.vringh_need_notify_iotlb(vq.vring)) vq.cb?.callback();
    }
  }
}

/** What a ring answers, or -1 for a refusal. */
function attempt(body: () => number): number {
  try {
    return body();
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return NONE;
  }
}

const bytesOf = (iov: VringhKiov): number => iov.segments.reduce((sum, { len }) => sum + len, 0);

/** @returns whether there was a request, and it has its status, which is its last byte */
function serveRequest(k: WorkSymbols, sim: Vdpasim, vq: VdpasimVirtqueue): boolean {
  const { vring, out_iov: out, in_iov: inp } = vq;
  const head = attempt(() => k.vringh_getdesc_iotlb(vring, out, inp));
  if (head === NONE) return false;
  const { pushed, answered } = answer(k, sim, vq);
  k.vringh_complete_iotlb(vring, head, pushed);
  return answered;
}

/** What a request came to. */
interface Outcome {
  readonly status: number;
  /** Bytes written, without the status. */
  readonly pushed: number;
}

const FAILED: Outcome = { status: VIRTIO_BLK_S_IOERR, pushed: 0 };

/** What became of a request. */
interface Answer {
  /** Bytes written, the status included. */
  readonly pushed: number;
  /** Whether its status was written. */
  readonly answered: boolean;
}

const UNANSWERED: Answer = { pushed: 0, answered: false };

/** Read a request's header, do what it asks, write its status, where there is room for them. */
function answer(k: WorkSymbols, sim: Vdpasim, vq: VdpasimVirtqueue): Answer {
  const { vring, out_iov: out, in_iov: inp } = vq;
  const last = inp.segments.at(-1);
  if (out.segments.length === 0 || last === undefined || last.len < 1) return UNANSWERED;
  const writable = bytesOf(inp) - 1;
  const header = new Uint8Array(virtio_blk_outhdr.size);
  if (attempt(() => k.vringh_iov_pull_iotlb(vring, out, header)) !== header.length) return UNANSWERED;
  const { status, pushed } = serve(k, sim, vq, virtio_blk_outhdr.decode(header), writable, bytesOf(out) - header.length);
  if (writable > pushed) k.vringh_kiov_advance(inp, writable - pushed);
  const answered = attempt(() => k.vringh_iov_push_iotlb(vring, inp, Uint8Array.of(status))) === 1;
  return { pushed: answered ? pushed + 1 : pushed, answered };
}

/**
 * Do what the header asks.
 *
 * @param writable bytes the device may write before the status
 * @param given bytes it may read after the header
 */
function serve(
  k: WorkSymbols, sim: Vdpasim, vq: VdpasimVirtqueue, { type, sector }: { readonly type: number; readonly sector: bigint }, writable: number, given: number,
): Outcome {
  const { vring, out_iov: out, in_iov: inp } = vq;
  const ok = (pushed = 0): Outcome => (pushed < 0 ? FAILED : { status: VIRTIO_BLK_S_OK, pushed });
  const place = (bytes: number): Uint8Array => sim.buffer.subarray(Number(sector) * SECTOR_SIZE, Number(sector) * SECTOR_SIZE + bytes);
  const fits = (bytes: number): boolean => onDisk(sector, Math.floor(bytes / SECTOR_SIZE), TRANSFER_MAX_SECTORS);
  switch (type) {
    case VIRTIO_BLK_T_IN:
      return fits(writable) ? ok(attempt(() => k.vringh_iov_push_iotlb(vring, inp, place(writable)))) : FAILED;
    case VIRTIO_BLK_T_OUT:
      return fits(given) && attempt(() => k.vringh_iov_pull_iotlb(vring, out, place(given))) >= 0 ? ok() : FAILED;
    case VIRTIO_BLK_T_GET_ID: {
      // All of it, even where that leaves no room for the status: the request is then not answered.
      return sector === 0n ? ok(attempt(() => k.vringh_iov_push_iotlb(vring, inp, vdpasim_blk_id))) : FAILED;
    }
    case VIRTIO_BLK_T_FLUSH:
      return sector === 0n ? ok() : FAILED; // nothing is held back
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
      return sector === 0n ? { status: discardOrZero(k, sim, vq, type, given), pushed: 0 } : FAILED;
    default:
      return FAILED;
  }
}

/** @returns the status */
function discardOrZero(k: WorkSymbols, sim: Vdpasim, { vring, out_iov: out }: VdpasimVirtqueue, type: number, given: number): number {
  const range = new Uint8Array(virtio_blk_discard_write_zeroes.size);
  if (given !== range.length || attempt(() => k.vringh_iov_pull_iotlb(vring, out, range)) < 0) return VIRTIO_BLK_S_IOERR;
  const { sector, num_sectors, flags } = virtio_blk_discard_write_zeroes.decode(range);
  const known = type === VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
  if ((flags & ~known) !== 0) return VIRTIO_BLK_S_UNSUPP;
  if (!onDisk(sector, num_sectors, VDPASIM_BLK_DWZ_MAX_SECTORS)) return VIRTIO_BLK_S_IOERR;
  const first = Number(sector) * SECTOR_SIZE;
  if (type === VIRTIO_BLK_T_WRITE_ZEROES) sim.buffer.fill(0, first, first + num_sectors * SECTOR_SIZE);
  return VIRTIO_BLK_S_OK;
}

/** Requests in a virtqueue. Mirrors `virtio_queue_rq` and `virtblk_done` of `drivers/block/virtio_blk.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { BlkStatus, BlockSymbols, Request } from '@vdpalab/block';
import type { MmSymbols, PageRun } from '@vdpalab/mm';
import {
  VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, virtio_blk_discard_write_zeroes, virtio_blk_outhdr,
} from '@vdpalab/uapi';
import type { Sg, VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';

/** What requests take. */
export type RequestSymbols =
  & Pick<VirtioRingSymbols, 'virtqueue_add_sgs' | 'virtqueue_get_buf' | 'virtqueue_kick'>
  & Pick<BlockSymbols, 'blk_mq_end_request' | 'blk_mq_stop_hw_queues' | 'blk_mq_start_stopped_hw_queues'>
  & Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>;

const PAGE_SIZE = 4096;
/** Memory of one request: header, range of a discard, status; each where no other begins. */
const SLOT = 64;
const RANGE_AT = 16;
const STATUS_AT = 48;

const TYPE = {
  READ: VIRTIO_BLK_T_IN, WRITE: VIRTIO_BLK_T_OUT, FLUSH: VIRTIO_BLK_T_FLUSH, DISCARD: VIRTIO_BLK_T_DISCARD,
  WRITE_ZEROES: VIRTIO_BLK_T_WRITE_ZEROES, DRV_IN: VIRTIO_BLK_T_GET_ID,
} as const;

/** The queue of one device. */
export class RequestQueueOfDevice {
  readonly #k: RequestSymbols;
  readonly #vq: Virtqueue;
  readonly #run: PageRun;

  /** @param depth requests at once */
  constructor(k: RequestSymbols, vq: Virtqueue, depth: number) {
    this.#k = k;
    this.#vq = vq;
    this.#run = k.alloc_pages(Math.ceil((depth * SLOT) / PAGE_SIZE));
  }

  /** Give a request to the device, which is told in {@link kick}. */
  queue(rq: Request): BlkStatus {
    const slot = this.#run.pa + SLOT * rq.tag;
    const memory = this.#k.phys_view(slot, SLOT);
    const whole = rq.op === 'READ' || rq.op === 'WRITE';
    memory.set(virtio_blk_outhdr.encode({ type: TYPE[rq.op], sector: whole ? BigInt(rq.sector) : 0n }));
    const out: Sg[] = [{ pa: slot, len: virtio_blk_outhdr.size }];
    const inp: Sg[] = [];
    if (rq.op === 'DISCARD' || rq.op === 'WRITE_ZEROES') {
      const flags = rq.op === 'WRITE_ZEROES' ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
      memory.set(virtio_blk_discard_write_zeroes.encode({ sector: BigInt(rq.sector), num_sectors: rq.nr_sectors, flags }), RANGE_AT);
      out.push({ pa: slot + RANGE_AT, len: virtio_blk_discard_write_zeroes.size });
    } else if (rq.op === 'WRITE') {
      out.push(...rq.bvecs);
    } else {
      inp.push(...rq.bvecs);
    }
    inp.push({ pa: slot + STATUS_AT, len: 1 });
    try {
      this.#k.virtqueue_add_sgs(this.#vq, out, inp, rq);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#k.virtqueue_kick(this.#vq);
      switch (error.errno) {
        case 'ENOSPC':
          this.#k.blk_mq_stop_hw_queues(rq.q);
          return 'BLK_STS_DEV_RESOURCE';
        case 'ENOMEM': // mappings are given back by requests that end
          this.#k.blk_mq_stop_hw_queues(rq.q);
          return 'BLK_STS_RESOURCE';
        default: return 'BLK_STS_IOERR';
      }
    }
    return 'BLK_STS_OK';
  }

  kick(): Atomic {
    this.#k.virtqueue_kick(this.#vq);
  }

  /** The queue's interrupt: requests have come back. */
  done(): Atomic {
    let q: Request['q'] | null = null;
    for (let used = this.#k.virtqueue_get_buf(this.#vq); used !== null; used = this.#k.virtqueue_get_buf(this.#vq)) {
      const rq = used.data as Request; // every token of this queue is one
      q = rq.q;
      this.#k.blk_mq_end_request(rq, this.#status(rq));
    }
    if (q !== null) this.#k.blk_mq_start_stopped_hw_queues(q);
  }

  free(): Atomic {
    return this.#k.free_pages(this.#run);
  }

  #status(rq: Request): BlkStatus {
    const [status] = this.#k.phys_view(this.#run.pa + SLOT * rq.tag + STATUS_AT, 1);
    if (status === VIRTIO_BLK_S_OK) return 'BLK_STS_OK';
    return status === VIRTIO_BLK_S_UNSUPP ? 'BLK_STS_NOTSUPP' : 'BLK_STS_IOERR';
  }
}

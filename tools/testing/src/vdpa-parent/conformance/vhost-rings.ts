/** Rings in the memory of a process that drives a vhost-vdpa file. */
import {
  EFD_NONBLOCK, VHOST_IOTLB_UPDATE, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK,
  VHOST_SET_VRING_NUM, VHOST_VDPA_SET_VRING_ENABLE, VHOST_ACCESS_RW,
} from '@vdpalab/uapi';
import { DriverRings } from '../driver-rings.ts';
import type { DriverQueue, Piece } from '../driver-rings.ts';
import { anonymous } from '../vhost-user-space.ts';
import type { Answer, VhostFile } from '../vhost-user-space.ts';
import type { SuiteKernel, SuiteProcess } from './kernel.ts';

/** Where the device finds the memory. */
export const IOVA = 0x1000_0000n;
/** Bytes of it. */
export const MEMORY = 1 << 18;

/** One queue with its eventfds. */
export interface VhostQueue extends DriverQueue {
  readonly kick: number;
  readonly call: number;
}

/** Memory and rings of one process. */
export class VhostRings extends DriverRings<VhostQueue> {
  readonly #k: SuiteKernel;
  readonly #proc: SuiteProcess;
  readonly #file: VhostFile<SuiteProcess>;
  readonly va: number;

  private constructor(k: SuiteKernel, proc: SuiteProcess, file: VhostFile<SuiteProcess>, va: number, bytes: Uint8Array) {
    super(bytes);
    this.#k = k;
    this.#proc = proc;
    this.#file = file;
    this.va = va;
    this.base = IOVA;
  }

  /** Memory that is mapped for the device. @throws Error when it is refused */
  static async create(k: SuiteKernel, proc: SuiteProcess, file: VhostFile<SuiteProcess>): Promise<VhostRings> {
    const va = await anonymous(k, proc, MEMORY);
    const bytes = proc.mm.view(va, MEMORY);
    if (bytes === null) throw new Error('memory of the process is not in one piece');
    const rings = new VhostRings(k, proc, file, va, bytes);
    const answer = await file.iotlb(VHOST_IOTLB_UPDATE, IOVA, BigInt(MEMORY), BigInt(va), VHOST_ACCESS_RW);
    if (typeof answer === 'string') throw new Error(`mapping ${MEMORY} bytes: ${answer}`);
    return rings;
  }

  /** Set a queue up and enable it. */
  async queue(index: number, num: number): Promise<VhostQueue> {
    const { ring, areas, at } = this.layOut(num);
    const queue: VhostQueue = { index, ring, areas, kick: this.#k.ksys_eventfd(this.#proc, 0, EFD_NONBLOCK), call: this.#k.ksys_eventfd(this.#proc, 0, EFD_NONBLOCK) };
    const answers: Answer[] = [
      await this.#file.vring(VHOST_SET_VRING_NUM, index, num),
      await this.#file.vringAddr(VHOST_SET_VRING_ADDR, index, ...at),
      await this.#file.vring(VHOST_SET_VRING_BASE, index, 0),
      await this.#file.vringFile(VHOST_SET_VRING_KICK, index, queue.kick),
      await this.#file.vringFile(VHOST_SET_VRING_CALL, index, queue.call),
      await this.#file.vring(VHOST_VDPA_SET_VRING_ENABLE, index, 1),
    ];
    if (answers.some((answer) => answer !== 0)) throw new Error(`queue ${index}: ${answers.join()}`);
    this.queues[index] = queue;
    return queue;
  }

  /** Offer one chain, and ring the doorbell when the device wants it. */
  async give(queue: VhostQueue, out: readonly Piece[], inp: readonly Piece[], token: number): Promise<void> {
    if (this.offer(queue, out, inp, token)) await this.kick(queue);
  }

  async kick(queue: VhostQueue): Promise<void> {
    await this.#k.ksys_write(this.#proc, queue.kick, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
  }

  /** Interrupts since the last look. */
  async calls(queue: VhostQueue): Promise<number> {
    const ctx = this.#k.eventfd_ctx_fdget(this.#proc, queue.call);
    const count = Number(ctx.count);
    this.#k.eventfd_ctx_put(ctx);
    if (count > 0) await this.#k.ksys_read(this.#proc, queue.call, 8);
    return count;
  }
}

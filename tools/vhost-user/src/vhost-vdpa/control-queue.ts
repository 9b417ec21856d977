/** A device's control queue, of which front-ends know nothing: by it a device hears how many pairs of queues are in use. */
import type { UndoStack } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, POLLIN, PROT_READ, PROT_WRITE, VHOST_ACCESS_RW, VHOST_FILE_UNBIND, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_OK,
} from '@vdpalab/uapi';
import { ringMemoryOf, setUpQueue, type UserQueue, type VhostVdpaFile } from '@vdpalab/user';
import { refuse } from '../refuse.ts';

const PAGE_SIZE = 4096;
/** Descriptors. */
const NUM = 16;
/** Where the one command and its answer are, behind the ring. */
const COMMAND = 2048;
const ANSWER = COMMAND + 64;
/** Longest wait for an answer. */
const PATIENCE_NS = 1_000_000_000;

/** A control queue that is set up. */
export class ControlQueue {
  readonly #p: UserProcess;
  readonly #queue: UserQueue;
  readonly #page: Uint8Array;
  readonly #iova: number;

  private constructor(p: UserProcess, queue: UserQueue, page: Uint8Array, iova: number) {
    this.#p = p;
    this.#queue = queue;
    this.#page = page;
    this.#iova = iova;
  }

  /**
   * Set the queue up, on a page at the end of what the device reaches.
   *
   * @param index of the queue
   * @param undo takes it back, once the device is stopped
   */
  static async setUp(p: UserProcess, file: VhostVdpaFile, index: number, undo: UndoStack): Promise<ControlQueue> {
    const { last } = await file.iovaRange();
    const iova = last + 1n - BigInt(PAGE_SIZE);
    const va = await p.mmap(PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    undo.push('control queue', () => p.munmap(va, PAGE_SIZE));
    await file.map(iova, BigInt(PAGE_SIZE), BigInt(va), VHOST_ACCESS_RW);
    undo.push('mapping of the control queue', async () => void await file.unmap(iova, BigInt(PAGE_SIZE)));
    const page = p.proc.mm.view(va, PAGE_SIZE);
    if (page === null) throw refuse('vdpa.control', 'the control queue\'s page has gone', 'EFAULT');
    const queue = await setUpQueue(p, file, ringMemoryOf(page), { index, num: NUM, offset: 0, iova: Number(iova), eventIdx: false, mapped: false });
    undo.push('eventfds of the control queue', async () => {
      await file.setVringKick(index, VHOST_FILE_UNBIND);
      await file.setVringCall(index, VHOST_FILE_UNBIND);
      await p.close(queue.kick);
      await p.close(queue.call);
    });
    return new ControlQueue(p, queue, page, Number(iova));
  }

  /** Use this many pairs. @throws EIO when the device does not answer, or says no */
  async setPairs(pairs: number): Promise<void> {
    const command = Uint8Array.of(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs & 0xff, pairs >> 8);
    this.#page.set(command, COMMAND);
    this.#page[ANSWER] = VIRTIO_NET_OK ^ 0xff;
    const { ring, kick, call } = this.#queue;
    const segment = (at: number, length: number): readonly number[] => [(this.#iova + at) >>> 0, Math.floor((this.#iova + at) / 2 ** 32), length];
    ring.add(Uint32Array.from([...segment(COMMAND, command.length), ...segment(ANSWER, 1)]), 0, 1, 1, 0);
    if (ring.kickPrepare()) await this.#p.eventfdWrite(kick);
    const [ready = 0] = await this.#p.poll([{ fd: call, events: POLLIN }], PATIENCE_NS);
    if ((ready & POLLIN) !== 0) await this.#p.read(call, 8);
    const answer = ring.get() < 0 ? 'no answer' : `answer ${this.#page[ANSWER]}`;
    if (answer !== `answer ${VIRTIO_NET_OK}`) throw refuse('vdpa.control', `${pairs} pairs of queues: ${answer} from the control queue`, 'EIO');
  }
}

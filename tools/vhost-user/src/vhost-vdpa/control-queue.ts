/** A device's control queue, of which front-ends know nothing: by it a device hears how many pairs of queues are in use. */
import type { UndoStack } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import { VHOST_FILE_UNBIND, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_OK } from '@vdpalab/uapi';
import { UserControlQueue, type VhostVdpaFile } from '@vdpalab/user';
import { refuse } from '../refuse.ts';

/** A control queue that is set up. */
export class ControlQueue {
  readonly #queue: UserControlQueue;

  private constructor(queue: UserControlQueue) {
    this.#queue = queue;
  }

  /**
   * Set the queue up, on a page at the end of what the device reaches.
   *
   * @param index of the queue
   * @param undo takes it back, once the device is stopped
   */
  static async setUp(p: UserProcess, file: VhostVdpaFile, index: number, undo: UndoStack): Promise<ControlQueue> {
    const { last } = await file.iovaRange();
    const queue = await UserControlQueue.open(p, file, index, Number(last + 1n - BigInt(UserControlQueue.SIZE)));
    undo.push('control queue', async () => {
      await file.setVringKick(index, VHOST_FILE_UNBIND);
      await file.setVringCall(index, VHOST_FILE_UNBIND);
      await queue.close();
    });
    return new ControlQueue(queue);
  }

  /** Use this many pairs. @throws EIO when the device does not answer, or says no */
  async setPairs(pairs: number): Promise<void> {
    const answer = await this.#queue.send(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, Uint8Array.of(pairs & 0xff, pairs >> 8));
    if (answer === VIRTIO_NET_OK) return;
    throw refuse('vdpa.control', `${pairs} pairs of queues: ${answer === null ? 'no answer' : `answer ${answer}`} from the control queue`, 'EIO');
  }
}

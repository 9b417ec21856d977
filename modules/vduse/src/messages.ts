/** Questions of the kernel to the process that is the device. Mirrors `vduse_dev_msg_sync` and its like in `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { SchedSymbols, WaitQueue } from '@vdpalab/sched';
import { VDUSE_REQ_RESULT_FAILED, VDUSE_REQ_RESULT_OK, type VduseDevResponse } from '@vdpalab/uapi';

const NS_PER_S = 1_000_000_000;

/** What asking takes. */
export type MessageSymbols = Pick<SchedSymbols, 'init_waitqueue_head' | 'wait_event' | 'wait_event_timeout' | 'wake_up'>;

/** `struct vduse_dev_msg` */
export interface Message {
  readonly id: number;
  readonly type: number;
  /** The union of the request. */
  readonly body: Uint8Array;
  readonly waitq: WaitQueue;
  completed: boolean;
  /** `VDUSE_REQ_RESULT_*` */
  result: number;
  /** The union of the response. */
  answer: Uint8Array;
}

/** Messages of one device, and whether it still answers. */
export class Messages {
  /** Not read yet, oldest first: `send_list`. */
  #unread: Message[] = [];
  /** Read and not answered: `recv_list`. */
  #unanswered: Message[] = [];
  #unique = 0;
  #broken = false;
  /** Woken when there is something to read, or when the device is broken. */
  readonly waitq: WaitQueue;
  readonly #k: MessageSymbols;
  readonly #name: string;

  constructor(k: MessageSymbols, name: string) {
    this.#k = k;
    this.#name = name;
    this.waitq = k.init_waitqueue_head(`vduse ${name}`);
  }

  get broken(): boolean {
    return this.#broken;
  }
  get readable(): boolean {
    return this.#unread.length > 0;
  }
  get writable(): boolean {
    return this.#unanswered.length > 0;
  }

  /**
   * Ask and wait for the answer.
   *
   * @param timeout seconds; 0 for ever
   * @returns the union of the response
   * @throws EIO when the device is broken, says that it failed, or is silent for too long, after which it is broken
   */
  async ask(type: number, body: Uint8Array, timeout: number): Promise<Uint8Array> {
    if (this.#broken) throw new KernelError('EIO', 'vduse.message.broken', `${this.#name}: the device is broken`);
    const message: Message = {
      id: this.#unique++ >>> 0, type, body, waitq: this.#k.init_waitqueue_head(`vduse ${this.#name} message`),
      completed: false, result: VDUSE_REQ_RESULT_OK, answer: new Uint8Array(),
    };
    this.#unread.push(message);
    this.#k.wake_up(this.waitq);
    const what = `the answer of ${this.#name} to message ${message.id}`;
    if (timeout === 0) await this.#k.wait_event(message.waitq, () => message.completed, what);
    else if (!await this.#k.wait_event_timeout(message.waitq, () => message.completed, what, timeout * NS_PER_S)) {
      this.#unread = this.#unread.filter((m) => m !== message);
      this.#unanswered = this.#unanswered.filter((m) => m !== message);
      this.break();
      throw new KernelError('EIO', 'vduse.message.timeout', `${this.#name}: no answer to message ${message.id} within ${timeout} s`);
    }
    if (message.result !== VDUSE_REQ_RESULT_OK) {
      throw new KernelError('EIO', 'vduse.message.failed', `${this.#name}: result ${message.result} of message ${message.id}`);
    }
    return message.answer;
  }

  /** Take the oldest message to read; it waits for its answer from now on. */
  take(): Message | null {
    const message = this.#unread.shift() ?? null;
    if (message !== null) this.#unanswered.push(message);
    return message;
  }

  /** Put back what could not be read. */
  untake(message: Message): Atomic {
    this.#unanswered = this.#unanswered.filter((m) => m !== message);
    this.#unread.unshift(message);
    return undefined;
  }

  /** @throws ENOENT when no message waits for this answer */
  answer(response: VduseDevResponse): Atomic {
    const message = this.#unanswered.find((m) => m.id === response.request_id);
    if (message === undefined) throw new KernelError('ENOENT', 'vduse.message.unknown', `${this.#name}: message ${response.request_id} waits for no answer`);
    this.#unanswered = this.#unanswered.filter((m) => m !== message);
    return this.#complete(message, response.result, response.padding);
  }

  /** The process went: who comes next reads the unanswered ones again. */
  requeue(): Atomic {
    this.#unread = [...this.#unanswered, ...this.#unread];
    this.#unanswered = [];
    return undefined;
  }

  /** `vduse_dev_broken`: everybody who waits is refused, and whoever asks later. */
  break(): Atomic {
    if (this.#broken) return undefined;
    this.#broken = true;
    for (const message of [...this.#unread, ...this.#unanswered]) this.#complete(message, VDUSE_REQ_RESULT_FAILED, new Uint8Array());
    this.#unread = [];
    this.#unanswered = [];
    return this.#k.wake_up(this.waitq);
  }

  #complete(message: Message, result: number, answer: Uint8Array): Atomic {
    message.completed = true;
    message.result = result;
    message.answer = answer;
    return this.#k.wake_up(message.waitq);
  }
}

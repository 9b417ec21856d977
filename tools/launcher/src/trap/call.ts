/** A system call that was trapped, and what is answered. */
import type { SeccompListener } from '@vdpalab/libc';
import type { SeccompNotif } from '@vdpalab/uapi';
import { CallerMemory } from './caller-memory.ts';

/** What becomes of a call: its result, the host's own answer, or nothing more because it was answered. */
export type Answer = { readonly value: number } | 'host' | 'answered';

/** A kind of call that the lab answers. */
export interface CallFamily {
  /** @throws CallError or KernelError: the errno the call fails with */
  readonly answer: (call: TrappedCall) => Promise<Answer>;
  /** Give up what is held. */
  readonly close: () => Promise<void>;
}

/** One call that waits. */
export class TrappedCall {
  readonly #listener: SeccompListener;
  readonly #notif: SeccompNotif;
  /** The caller's memory. */
  readonly memory: CallerMemory;

  constructor(listener: SeccompListener, notif: SeccompNotif) {
    this.#listener = listener;
    this.#notif = notif;
    this.memory = new CallerMemory(notif.pid, () => this.waits());
  }

  get nr(): number {
    return this.#notif.data.nr;
  }

  /** The calling thread, as the host numbers it. */
  get tid(): number {
    return this.#notif.pid;
  }

  /** An argument as the C `int` it is. */
  int(arg: number): number {
    return Number(BigInt.asIntN(32, this.raw(arg)));
  }

  /** An argument as it came: an address or a size. */
  raw(arg: number): bigint {
    return this.#notif.data.args[arg] ?? 0n;
  }

  /** Whether somebody still waits for the answer. */
  waits(): boolean {
    return this.#listener.isWaiting(this.#notif.id);
  }

  /** The call returns a value. @returns false when nobody waits any more */
  succeed(value: number): boolean {
    return this.#listener.succeed(this.#notif.id, value);
  }

  /** The call fails. @param errno positive */
  fail(errno: number): boolean {
    return this.#listener.fail(this.#notif.id, errno);
  }

  /** The host's kernel does the call. */
  proceed(): boolean {
    return this.#listener.proceed(this.#notif.id);
  }

  /** The call returns a new descriptor of this process's file. @param flags O_CLOEXEC or 0. @returns it, or `null` when nobody waits any more */
  returnFile(fd: number, flags: number): number | null {
    return this.#listener.returnFile(this.#notif.id, fd, flags);
  }
}

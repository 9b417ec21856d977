/** A netlink socket of the lab that a process of the host holds. */
import type { Atomic } from '@vdpalab/abi';
import type { File } from '@vdpalab/fs';
import type { HostProcess } from '@vdpalab/fusefs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { AF_NETLINK, EAGAIN, MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, POLLIN } from '@vdpalab/uapi';
import { CallError } from './call-error.ts';
import { isInterrupted } from './caller.ts';
import type { StandIn } from './stand-in.ts';

/** Linux's own: the call is made again, or fails with EINTR, as the signal's action says. */
const ERESTARTSYS = 512;
/** How often a thread that waits is asked for signals, in ms. */
const SIGNAL_INTERVAL = 50;

/** A message as it was received. */
export interface NetlinkMessage {
  readonly bytes: Uint8Array;
  readonly address: Uint8Array;
}

/** One socket; its owner is the process that opened it, whoever uses it. */
export class LabSocket {
  readonly standIn: StandIn;
  /** Sent messages and received ones wait for their turn apart. */
  readonly #lab: Lab;
  readonly #owner: HostProcess;
  readonly #fd: number;
  readonly #file: File;
  readonly #unwatch: () => void;
  readonly #waiting = new Set<() => void>();
  #receiving: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** SO_RCVTIMEO in ms; 0 for none. */
  receiveTimeout = 0;

  private constructor(lab: Lab, owner: HostProcess, fd: number, standIn: StandIn) {
    this.#lab = lab;
    this.#owner = owner;
    this.#fd = fd;
    this.standIn = standIn;
    this.#file = owner.process.proc.files.get(fd) as File; // was opened a moment ago, and nobody else knows it
    const queue = this.#file.ops.pollQueue?.(this.#file);
    const watcher = (): Atomic => {
      queueMicrotask(() => this.#arrived());
      return undefined;
    };
    queue?.watchers.add(watcher);
    this.#unwatch = () => queue?.watchers.delete(watcher);
    owner.hold();
  }

  /** @throws KernelError what `socket` of the lab throws */
  static async open(lab: Lab, owner: HostProcess, type: number, protocol: number, standIn: () => StandIn): Promise<LabSocket> {
    const fd = await lab.as(owner.process, (p) => p.socket(AF_NETLINK, type, protocol));
    return new LabSocket(lab, owner, fd, standIn());
  }

  get #readable(): boolean {
    return !this.#closed && ((this.#file.ops.poll?.(this.#file) ?? 0) & POLLIN) !== 0;
  }

  #arrived(): void {
    if (!this.#readable) return;
    this.standIn.signal(true, null);
    for (const wake of this.#waiting) wake();
  }

  /**
   * Send a message; the rights of the sender count beside those of whoever opened the socket.
   *
   * @returns bytes taken
   * @throws KernelError as the lab's `sendmsg` does
   */
  send(sender: UserProcess, bytes: Uint8Array, address: Uint8Array | null): Promise<number> {
    const sendmsg = this.#file.ops.sendmsg as NonNullable<File['ops']['sendmsg']>; // it is a socket
    return this.#lab.as(sender, () => this.#lab.noting('sendmsg', () => sendmsg(this.#file, bytes, address, sender.proc))());
  }

  /** Do something with it in the lab, as the process that opened it. */
  use<T>(body: (p: UserProcess, fd: number) => Promise<T>): Promise<T> {
    return this.#lab.as(this.#owner.process, (p) => body(p, this.#fd));
  }

  /**
   * Receive one message.
   *
   * @param flags MSG_*
   * @param caller who waits, and by which descriptor
   * @throws CallError EAGAIN; ERESTARTSYS when a signal came first. KernelError ENOBUFS
   */
  receive(flags: number, caller: { readonly tid: number; readonly tgid: number; readonly fd: number; readonly waits: () => boolean }, nonblock: boolean): Promise<NetlinkMessage> {
    const turn = this.#receiving.then(async () => {
      if (!this.#readable) {
        if (nonblock) throw new CallError(EAGAIN, 'no message waits');
        await this.#wait(caller);
      }
      if (!caller.waits()) throw new CallError(ERESTARTSYS, 'the caller has gone'); // the message stays for another
      const { bytes, address } = await this.use((p, fd) => p.recvmsg(fd, 0, (flags & MSG_PEEK) | MSG_TRUNC | MSG_DONTWAIT));
      this.standIn.signal(this.#readable, caller);
      return { bytes, address: address ?? new Uint8Array(0) };
    });
    this.#receiving = turn.catch(() => undefined);
    return turn;
  }

  #wait({ tid, waits }: { readonly tid: number; readonly waits: () => boolean }): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: CallError | null): void => {
        clearInterval(signals);
        clearTimeout(timeout);
        this.#waiting.delete(wake);
        if (error === null) resolve();
        else reject(error);
      };
      const wake = (): void => {
        if (this.#closed) done(new CallError(EAGAIN, 'the socket is closed'));
        else if (this.#readable) done(null);
      };
      const signals = setInterval(() => {
        if (!waits() || isInterrupted(tid)) done(new CallError(ERESTARTSYS, 'a signal came'));
      }, SIGNAL_INTERVAL);
      const timeout = this.receiveTimeout === 0 ? undefined : setTimeout(() => done(new CallError(EAGAIN, 'SO_RCVTIMEO')), this.receiveTimeout);
      this.#waiting.add(wake);
    });
  }

  /** Nobody holds it any more. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    for (const wake of this.#waiting) wake();
    this.standIn.close();
    try {
      await this.#lab.as(this.#owner.process, (p) => p.close(this.#fd));
    } finally {
      this.#owner.release();
    }
  }
}

/** A process that drives a /dev/vhost-vdpa-N: ioctls with their structs, IOTLB messages, answers as errno names. */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import {
  MAP_ANONYMOUS, MAP_SHARED, O_RDWR, O_WRONLY, PROT_READ, PROT_WRITE, VHOST_ACCESS_RW, VHOST_IOTLB_MSG_V2, vhost_msg_v2, vhost_vdpa_config,
  vhost_vring_addr, vhost_vring_file, vhost_vring_state,
} from '@vdpalab/uapi';

/** What a process needs to have. */
export interface UserProcess {
  readonly mm: { readonly read: (va: number, len: number) => Uint8Array; readonly write: (va: number, bytes: Uint8Array) => Atomic };
}

/** System calls, as the `fs` header declares them. */
export interface UserCalls<P> {
  readonly ksys_open: (proc: P, path: string, flags: number) => Promise<number>;
  readonly ksys_close: (proc: P, fd: number) => Promise<void>;
  readonly ksys_write: (proc: P, fd: number, bytes: Uint8Array) => Promise<number>;
  readonly ksys_ioctl: (proc: P, fd: number, cmd: number, arg: number) => Promise<number>;
  readonly ksys_mmap: (proc: P, addr: number, len: number, prot: number, flags: number, fd: number, offset: number) => Promise<number>;
}

/** What happened: a number, or an errno's name. */
export type Answer = number | string;

/** The errno's name of what fails, else the number it gave. */
export async function answerOf(body: () => Promise<number | void>): Promise<Answer> {
  try {
    return (await body()) ?? 0;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return error.errno;
  }
}

/** `echo TEXT > PATH` @throws what open or write throws */
export async function echo<P>(k: UserCalls<P>, proc: P, path: string, text: string): Promise<void> {
  const fd = await k.ksys_open(proc, path, O_WRONLY);
  try {
    await k.ksys_write(proc, fd, Uint8Array.from(`${text}\n`, (c) => c.charCodeAt(0)));
  } finally {
    await k.ksys_close(proc, fd);
  }
}

const SCRATCH = 1 << 17;

/** An open vhost-vdpa file. */
export class VhostFile<P extends UserProcess> {
  readonly #k: UserCalls<P>;
  readonly #proc: P;
  readonly fd: number;
  /** A page of the process that ioctls put their structs into. */
  readonly scratch: number;

  private constructor(k: UserCalls<P>, proc: P, fd: number, scratch: number) {
    this.#k = k;
    this.#proc = proc;
    this.fd = fd;
    this.scratch = scratch;
  }

  /** @throws what open throws */
  static async open<P extends UserProcess>(k: UserCalls<P>, proc: P, path: string): Promise<VhostFile<P>> {
    return await VhostFile.of(k, proc, await k.ksys_open(proc, path, O_RDWR));
  }

  /** Around a descriptor of a process. */
  static async of<P extends UserProcess>(k: UserCalls<P>, proc: P, fd: number): Promise<VhostFile<P>> {
    return new VhostFile(k, proc, fd, await anonymous(k, proc, SCRATCH));
  }

  /** The same file, used by another process that has the descriptor. */
  as(proc: P): Promise<VhostFile<P>> {
    return VhostFile.of(this.#k, proc, this.fd);
  }

  close(): Promise<void> {
    return this.#k.ksys_close(this.#proc, this.fd);
  }

  /** An ioctl whose argument is a struct, or nothing. */
  ioctl(cmd: number, bytes?: Uint8Array): Promise<Answer> {
    if (bytes !== undefined) this.#proc.mm.write(this.scratch, bytes);
    return this.raw(cmd, bytes === undefined ? 0 : this.scratch);
  }

  raw(cmd: number, arg: number): Promise<Answer> {
    return answerOf(() => this.#k.ksys_ioctl(this.#proc, this.fd, cmd, arg));
  }

  /** An ioctl that takes an integer by pointer. @param size bytes */
  set(cmd: number, size: 1 | 2 | 4 | 8, value: number | bigint): Promise<Answer> {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    return this.ioctl(cmd, bytes.slice(0, size));
  }

  /** An ioctl that gives an integer. @returns it, or the errno's name */
  async get(cmd: number, size: 1 | 2 | 4 | 8): Promise<bigint | string> {
    const answer = await this.ioctl(cmd, new Uint8Array(size));
    if (typeof answer === 'string') return answer;
    const bytes = new Uint8Array(8);
    bytes.set(this.#proc.mm.read(this.scratch, size));
    return new DataView(bytes.buffer).getBigUint64(0, true);
  }

  /** An ioctl of `vhost_vring_state`. */
  vring(cmd: number, index: number, num = 0): Promise<Answer> {
    return this.ioctl(cmd, vhost_vring_state.encode({ index: index >>> 0, num }));
  }

  /** As {@link vring}, and the number it gives back. */
  async vringGet(cmd: number, index: number): Promise<Answer> {
    const answer = await this.vring(cmd, index);
    return typeof answer === 'string' ? answer : vhost_vring_state.decode(this.#proc.mm.read(this.scratch, vhost_vring_state.size)).num;
  }

  vringFile(cmd: number, index: number, fd: number): Promise<Answer> {
    return this.ioctl(cmd, vhost_vring_file.encode({ index, fd }));
  }

  vringAddr(cmd: number, index: number, desc: bigint, avail: bigint, used: bigint, flags = 0, log = 0n): Promise<Answer> {
    return this.ioctl(cmd, vhost_vring_addr.encode({
      index, flags, desc_user_addr: desc, avail_user_addr: avail, used_user_addr: used, log_guest_addr: log,
    }));
  }

  /** An ioctl of `vhost_vdpa_config`. @returns the bytes after it, or the errno's name */
  async config(cmd: number, off: number, len: number, bytes = new Uint8Array(0)): Promise<Uint8Array | string> {
    const head = vhost_vdpa_config.encode({ off, len });
    const arg = new Uint8Array(head.length + bytes.length);
    arg.set(head);
    arg.set(bytes, head.length);
    const answer = await this.ioctl(cmd, arg);
    return typeof answer === 'string' ? answer : this.#proc.mm.read(this.scratch + head.length, Math.min(len, 4096));
  }

  /** Write one IOTLB message of version 2. */
  iotlb(type: number, iova: bigint, size = 0n, uaddr = 0n, perm = VHOST_ACCESS_RW, asid = 0): Promise<Answer> {
    return this.write(vhost_msg_v2.encode({ type: VHOST_IOTLB_MSG_V2, asid, iotlb: { iova, size, uaddr, perm, type } }));
  }

  write(bytes: Uint8Array): Promise<Answer> {
    return answerOf(() => this.#k.ksys_write(this.#proc, this.fd, bytes));
  }
}

/** Memory of a process, shared, as devices that take user addresses want it. @returns its address */
export function anonymous<P>(k: UserCalls<P>, proc: P, bytes: number): Promise<number> {
  return k.ksys_mmap(proc, 0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/** The calls of `vhosttest`, each with the line it prints. */
import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import type { MmStruct } from '@vdpalab/mm';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, VHOST_GET_FEATURES, VHOST_IOTLB_MSG_V2, VHOST_SET_BACKEND_FEATURES,
  VHOST_SET_FEATURES, VHOST_VDPA_GET_CONFIG, VHOST_VDPA_GET_STATUS, VHOST_VDPA_SET_CONFIG, VHOST_VDPA_SET_STATUS, vhost_msg_v2,
  vhost_vdpa_config, vhost_vring_addr, vhost_vring_file, vhost_vring_state,
} from '@vdpalab/uapi';
import { Scratch } from '../scratch.ts';

/** Width of what a line says before its arrow. */
const LABEL = 70;
/** Bytes of a configuration that are shown. */
const SHOWN = 16;

/** A process the program runs in, of the lab or of the host. */
export type VhostTestProcess =
  & Pick<UserProcess, 'open' | 'close' | 'read' | 'write' | 'lseek' | 'ioctl' | 'mmap' | 'munmap' | 'readFile'>
  & {
    eventfd(): number | Promise<number>;
    readonly proc: { readonly rlimits: Pick<Map<number, number>, 'get' | 'set'>; readonly mm: Pick<MmStruct, 'read' | 'write'> };
  };

/** What the program needs of whoever runs it. */
export interface VhostTestHost {
  readonly p: VhostTestProcess;
  readonly out: (text: string) => void;
  /** Run a body in a forked child, and wait for the child's end. */
  readonly inChild: (body: (child: VhostTestProcess) => Promise<void>) => Promise<void>;
}

/** The fields of an IOTLB message. */
export interface Message {
  readonly type: number;
  readonly iova?: bigint;
  readonly size?: bigint;
  readonly uaddr?: bigint;
  readonly perm?: number;
  readonly asid?: number;
}

const hex = (n: bigint | number): string => `0x${n.toString(16)}`;
const hex2 = (n: number): string => `0x${n.toString(16).padStart(2, '0')}`;
const number = (bytes: Uint8Array): bigint => bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);

/** A number as it lies in memory. @param size bytes */
export function le(value: number | bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt.asIntN(64, BigInt(value)), true);
  return bytes.subarray(0, size);
}

/** The errno's name; one that only the kernel knows goes by its number. */
export function errnoText(errno: string): string {
  return errno === 'ENOTSUPP' ? 'errno 524 (ENOTSUPP)' : errno;
}

/** One process that makes calls on one file, and says what came of them. */
export class Caller {
  readonly p: VhostTestProcess;
  fd: number;
  readonly #out: (text: string) => void;
  readonly #scratch: Scratch;

  private constructor(host: Pick<VhostTestHost, 'p' | 'out'>, fd: number, scratch: Scratch) {
    this.p = host.p;
    this.fd = fd;
    this.#out = host.out;
    this.#scratch = scratch;
  }

  static async create(host: Pick<VhostTestHost, 'p' | 'out'>, fd: number): Promise<Caller> {
    return new Caller(host, fd, await Scratch.create(host.p));
  }

  say(text: string): void {
    this.#out(`${text}\n`);
  }

  /** Make a call and print its line. @returns what it gave, null when it was refused */
  async line<T extends number | Uint8Array | void>(label: string, call: () => Promise<T>): Promise<T | null> {
    try {
      const result = await call();
      this.say(`${label.padEnd(LABEL)} -> ${typeof result === 'number' ? result : 0}`);
      return result;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.say(`${label.padEnd(LABEL)} -> -1 ${errnoText(error.errno)}`);
      return null;
    }
  }

  /** The same without a line; a refusal does not matter. @returns the errno, or null */
  async quietly(call: () => Promise<unknown>): Promise<string | null> {
    try {
      await call();
      return null;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return error.errno;
    }
  }

  /** An ioctl whose argument is these bytes, in and out. */
  ioctl(cmd: number, bytes: Uint8Array): Promise<Uint8Array> {
    return this.#scratch.ioctl(this.fd, cmd, bytes);
  }

  /** An ioctl whose argument is a number, or an address. */
  raw(label: string, cmd: number, arg = 0): Promise<number | null> {
    return this.line(label, () => this.p.ioctl(this.fd, cmd, arg));
  }

  async set(label: string, cmd: number, bytes: Uint8Array): Promise<void> {
    await this.line(label, () => this.ioctl(cmd, bytes));
  }

  /** A line for the call, and one for what was read. */
  async get(label: string, cmd: number, size: number, show: (value: bigint) => string = String): Promise<void> {
    const bytes = await this.line(label, () => this.ioctl(cmd, new Uint8Array(size)));
    if (bytes !== null) this.say(`  = ${show(number(bytes))}`);
  }

  /** A number, quietly. */
  async number(cmd: number, size: number): Promise<number> {
    return Number(number(await this.ioctl(cmd, new Uint8Array(size))));
  }

  async showStatus(when: string): Promise<void> {
    this.say(`  GET_STATUS ${when} -> ${hex2(await this.number(VHOST_VDPA_GET_STATUS, 1))}`);
  }

  async showFeatures(when: string): Promise<void> {
    this.say(`  GET_FEATURES ${when} -> ${hex(number(await this.ioctl(VHOST_GET_FEATURES, new Uint8Array(8))))}`);
  }

  async setStatus(...statuses: readonly number[]): Promise<void> {
    for (const status of statuses) await this.set(`SET_STATUS ${hex2(status)}`, VHOST_VDPA_SET_STATUS, le(status, 1));
  }

  /** Back to power-on, without a line. */
  async reset(): Promise<void> {
    await this.quietly(() => this.ioctl(VHOST_VDPA_SET_STATUS, le(0, 1)));
  }

  async setFeatures(...features: readonly bigint[]): Promise<void> {
    for (const bits of features) await this.set(`SET_FEATURES ${hex(bits)}`, VHOST_SET_FEATURES, le(bits, 8));
  }

  async setBackendFeatures(...features: readonly bigint[]): Promise<void> {
    for (const bits of features) await this.set(`SET_BACKEND_FEATURES ${hex(bits)}`, VHOST_SET_BACKEND_FEATURES, le(bits, 8));
  }

  /** Up to a running device, features agreed. */
  async run(features: bigint): Promise<void> {
    await this.setStatus(3);
    await this.setFeatures(features);
    await this.setStatus(0xb, 0xf);
  }

  async getConfig(off: number, len: number): Promise<void> {
    const head = vhost_vdpa_config.size;
    const bytes = new Uint8Array(head + (len <= 4096 ? len : 0));
    bytes.set(vhost_vdpa_config.encode({ off, len }));
    const answer = await this.line(`GET_CONFIG off=${off} len=${len}`, () => this.ioctl(VHOST_VDPA_GET_CONFIG, bytes));
    if (answer === null || len > SHOWN) return;
    this.say(`    ${[...answer.subarray(head)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`);
  }

  async setConfig(off: number, len: number, byte: number): Promise<void> {
    const head = vhost_vdpa_config.size;
    const bytes = new Uint8Array(head + (len <= 4096 ? Math.max(len, 1) : 1)).fill(byte);
    bytes.set(vhost_vdpa_config.encode({ off, len }));
    await this.set(`SET_CONFIG off=${off} len=${len} bytes=${byte.toString(16).padStart(2, '0')}`, VHOST_VDPA_SET_CONFIG, bytes);
  }

  async vring(label: string, cmd: number, index: number, num = 0): Promise<void> {
    await this.set(label, cmd, vhost_vring_state.encode({ index, num }));
  }

  /** A number of a queue. */
  async vringGet(label: string, cmd: number, index: number): Promise<void> {
    const answer = await this.line(label, () => this.ioctl(cmd, vhost_vring_state.encode({ index })));
    if (answer !== null) this.say(`  = ${vhost_vring_state.decode(answer).num}`);
  }

  async vringFile(label: string, cmd: number, index: number, fd: number): Promise<void> {
    await this.set(label, cmd, vhost_vring_file.encode({ index, fd }));
  }

  async vringAddr(label: string, cmd: number, index: number, desc: bigint, avail: bigint, used: bigint, flags = 0, log = 0n): Promise<void> {
    await this.set(label, cmd, vhost_vring_addr.encode({
      index, flags, desc_user_addr: desc, avail_user_addr: avail, used_user_addr: used, log_guest_addr: log,
    }));
  }

  /** Send a message of version 2. */
  send({ type, iova = 0n, size = 0n, uaddr = 0n, perm = 0, asid = 0 }: Message): Promise<number> {
    return this.p.write(this.fd, vhost_msg_v2.encode({ type: VHOST_IOTLB_MSG_V2, asid, iotlb: { iova, size, uaddr, perm, type } }));
  }

  async message(label: string, message: Message): Promise<void> {
    await this.line(label, () => this.send(message));
  }

  /** Memory of this process. @param prot PROT_*; @returns its address */
  memory(bytes: number, prot: number = PROT_READ | PROT_WRITE): Promise<number> {
    return this.p.mmap(bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS);
  }

  free(): Promise<void> {
    return this.#scratch.free();
  }
}

/** The C library of the host, loaded when it is first needed. */
import { createRequire } from 'node:module';
import { errnoName } from '@vdpalab/uapi';

/** A function of the C library; integers and byte arrays in, an integer out. */
export type HostFunction = (...args: (number | bigint | string | Uint8Array | null)[]) => number | bigint;

/** What is used of koffi. */
interface Koffi {
  readonly load: (path: string | null) => { readonly func: (prototype: string) => HostFunction };
  readonly errno: () => number;
  readonly address: (value: ArrayBufferView | ArrayBufferLike) => bigint;
  readonly view: (address: bigint, length: number) => ArrayBuffer;
  readonly node: {
    readonly poll: (fd: number, events: { readonly readable?: boolean; readonly writable?: boolean }, ready: () => void) => HostPoll;
  };
}

/** A running poll of koffi. It must stay referenced: a collected one stops without a word. */
export interface HostPoll {
  readonly close: () => void;
  readonly unref: () => void;
}

/** koffi is not there, so system calls that Node lacks cannot be made. */
export class HostUnavailableError extends Error {
  constructor(cause: unknown) {
    super('system calls of the host need the optional package koffi: npm install koffi', { cause });
    this.name = 'HostUnavailableError';
  }
}

/** The host refused a system call. */
export class HostError extends Error {
  /** `ENOENT` */
  readonly errno: string;
  readonly syscall: string;
  constructor(syscall: string, errno: number, about = '') {
    const name = errnoName(errno) ?? `errno ${errno}`;
    super(`${syscall}${about === '' ? '' : ` of ${about}`}: ${name}`);
    this.name = 'HostError';
    this.errno = name;
    this.syscall = syscall;
  }
}

let koffi: Koffi | null = null;
let library: ReturnType<Koffi['load']> | null = null;
const functions = new Map<string, HostFunction>();

/** koffi itself. @throws HostUnavailableError when it is not installed */
export function host(): Koffi {
  if (koffi !== null) return koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi; // koffi's own types are full of any
  } catch (error) {
    throw new HostUnavailableError(error);
  }
  return koffi;
}

/** Whether {@link host} would succeed. */
export function hostAvailable(): boolean {
  try {
    host();
    return true;
  } catch {
    return false;
  }
}

/** A function of the C library, by its prototype. @throws HostUnavailableError without koffi */
export function libc(prototype: string): HostFunction {
  const known = functions.get(prototype);
  if (known !== undefined) return known;
  library ??= host().load(null);
  const made = library.func(prototype);
  functions.set(prototype, made);
  return made;
}

/** errno of the last call. */
export function lastErrno(): number {
  return host().errno();
}

/**
 * The result of a system call that says failure by -1.
 *
 * @throws HostError when it did
 */
export function checked(syscall: string, result: number | bigint, about?: string): number {
  const value = Number(result);
  if (value === -1) throw new HostError(syscall, lastErrno(), about);
  return value;
}

/** Address of a byte array's first byte; the array must stay referenced while C uses it. */
export function addressOf(bytes: ArrayBufferView): bigint {
  return host().address(bytes);
}

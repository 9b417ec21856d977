/** From what a handler throws to the number the host's kernel is told. */
import { isKernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';

/** What may not leave a kernel, and what a caller sees instead. */
const INSIDE: Readonly<Record<string, number>> = {
  ERESTARTSYS: uapi.EINTR, ENOIOCTLCMD: uapi.ENOTTY, ENOTSUPP: uapi.EOPNOTSUPP, EPROBE_DEFER: uapi.EAGAIN,
};

/** Linux's number of the errno name. */
export function errnoNumber(name: string): number {
  return INSIDE[name] ?? (uapi as unknown as Readonly<Record<string, number>>)[name] ?? uapi.EIO;
}

/**
 * The errno of something thrown; `null` when it is no refusal but a bug.
 *
 * An error of the host's system calls counts as a refusal: a caller's memory that is gone, say.
 */
export function errnoOf(thrown: unknown): number | null {
  if (isKernelError(thrown)) return errnoNumber(thrown.errno);
  return thrown instanceof Refusal ? thrown.errno : null;
}

/** A refusal of the file server itself, before the lab is asked. */
export class Refusal extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.name = 'Refusal';
    this.errno = errno;
  }
}

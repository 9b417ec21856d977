/** `get_user` and `put_user`: one number in the caller's memory, little-endian. */
import type { Process } from '@vdpalab/fs';

/** @param size bytes. @throws EFAULT */
export function putUser(proc: Process, at: number, size: 4 | 8, value: bigint): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  proc.mm.write(at, bytes.subarray(0, size));
}

/** @param size bytes. @throws EFAULT */
export function getUser(proc: Process, at: number, size: 4 | 8): bigint {
  const bytes = new Uint8Array(8);
  bytes.set(proc.mm.read(at, size));
  return new DataView(bytes.buffer).getBigUint64(0, true);
}

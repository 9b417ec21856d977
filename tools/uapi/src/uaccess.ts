/** `linux/uaccess.h` (Linux 6.1): one number in the caller's memory, little-endian. */

/** Memory of a process, as far as numbers go. */
interface UserMemory {
  readonly read: (va: number, len: number) => Uint8Array;
  readonly write: (va: number, bytes: Uint8Array) => undefined;
}

/** Write a number of `size` bytes; what does not fit is cut off. @throws EFAULT what the memory throws */
export function put_user(mm: UserMemory, at: number, size: 1 | 2 | 4 | 8, value: number | bigint): undefined {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return mm.write(at, bytes.subarray(0, size));
}

/** Read an unsigned number of `size` bytes. @throws EFAULT what the memory throws */
export function get_user(mm: UserMemory, at: number, size: 1 | 2 | 4 | 8): bigint {
  const bytes = new Uint8Array(8);
  bytes.set(mm.read(at, size));
  return new DataView(bytes.buffer).getBigUint64(0, true);
}

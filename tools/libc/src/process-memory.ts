/** Memory of another process: `process_vm_readv(2)`, `process_vm_writev(2)`, which keep to what its pages allow. */
import { addressOf, libc } from './host.ts';

/** One past the last address of user space on x86-64, from where on nothing is anybody's. */
const TASK_SIZE = 1n << 47n;

const prototype = (call: string): string => `intptr_t ${call}(int pid, void *local, unsigned long locals, void *remote, unsigned long remotes, unsigned long flags)`;
const prototypes = { process_vm_readv: prototype('process_vm_readv'), process_vm_writev: prototype('process_vm_writev') } as const;

function transfer(call: 'process_vm_readv' | 'process_vm_writev', pid: number, address: bigint, bytes: Uint8Array): number {
  if (bytes.length === 0 || address >= TASK_SIZE) return 0;
  const length = BigInt(bytes.length);
  const local = new BigUint64Array([addressOf(bytes), length]);
  const remote = new BigUint64Array([address, length]);
  const done = libc(prototypes[call])(
    pid, new Uint8Array(local.buffer), 1, new Uint8Array(remote.buffer), 1, 0,
  );
  return Math.max(0, Number(done));
}

/** Fill `into` from a process's memory. @param pid of one of its threads. @returns bytes read, up to the first that cannot be */
export function readMemory(pid: number, address: bigint, into: Uint8Array): number {
  return transfer('process_vm_readv', pid, address, into);
}

/** Write to a process's memory. @returns bytes written, up to the first that cannot be */
export function writeMemory(pid: number, address: bigint, from: Uint8Array): number {
  return transfer('process_vm_writev', pid, address, from);
}

/** Most pieces of one {@link moveMany}. */
const PIECES = 64;
/** `struct iovec` of each piece, on either side: address and length as pairs of 32 bits. */
const localPieces = new Uint32Array(4 * PIECES);
const remotePieces = new Uint32Array(4 * PIECES);
const localBytes = new Uint8Array(localPieces.buffer);
const remoteBytes = new Uint8Array(remotePieces.buffer);

/**
 * Move many pieces between another process's memory and a copy of it here, by one call.
 *
 * @param local address of the copy's first byte, below 2^53
 * @param remote address of what it is a copy of
 * @param offsets where the pieces lie, from either; at most 64
 * @returns bytes moved: fewer than all, up to the first that cannot be
 */
export function moveMany(
  way: 'in' | 'out', pid: number, local: number, remote: number, offsets: Uint32Array, lengths: Uint32Array, count: number,
): number {
  for (let i = 0; i < count; i++) {
    const offset = offsets[i] ?? 0;
    put(localPieces, 4 * i, local + offset, lengths[i] ?? 0);
    put(remotePieces, 4 * i, remote + offset, lengths[i] ?? 0);
  }
  const call = way === 'in' ? 'process_vm_readv' : 'process_vm_writev';
  return Math.max(0, Number(libc(prototypes[call])(pid, localBytes, count, remoteBytes, count, 0)));
}

function put(pieces: Uint32Array, at: number, address: number, length: number): void {
  pieces[at] = address;
  pieces[at + 1] = Math.floor(address / 0x1_0000_0000);
  pieces[at + 2] = length;
}

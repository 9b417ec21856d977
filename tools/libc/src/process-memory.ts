/** Memory of another process: `process_vm_readv(2)`, `process_vm_writev(2)`, which keep to what its pages allow. */
import { addressOf, libc } from './host.ts';

/** One past the last address of user space on x86-64, from where on nothing is anybody's. */
const TASK_SIZE = 1n << 47n;

function transfer(call: 'process_vm_readv' | 'process_vm_writev', pid: number, address: bigint, bytes: Uint8Array): number {
  if (bytes.length === 0 || address >= TASK_SIZE) return 0;
  const length = BigInt(bytes.length);
  const local = new BigUint64Array([addressOf(bytes), length]);
  const remote = new BigUint64Array([address, length]);
  const done = libc(`intptr_t ${call}(int pid, void *local, unsigned long locals, void *remote, unsigned long remotes, unsigned long flags)`)(
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

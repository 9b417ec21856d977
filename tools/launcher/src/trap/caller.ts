/** Who makes a trapped call. */
import { settleMounts, statusOf, type HostProcess, type HostProcesses } from '@vdpalab/fusefs';
import { ESRCH } from '@vdpalab/uapi';
import { CallError } from './call-error.ts';
import type { TrappedCall } from './call.ts';

/**
 * The caller's process, of a call that is the lab's, with the name and the rights it has now. Files it has closed are closed.
 *
 * @throws CallError ESRCH when the thread is gone
 */
export async function callerOf(call: TrappedCall, processes: HostProcesses): Promise<HostProcess> {
  await settleMounts();
  const caller = processes.ofThread(call.tid);
  if (caller === null) throw new CallError(ESRCH, `no thread ${call.tid}`);
  return caller;
}

/** Whether a signal waits that would end a thread's sleep. */
export function isInterrupted(tid: number): boolean {
  return statusOf(tid)?.interrupts !== 0n; // or it is gone
}

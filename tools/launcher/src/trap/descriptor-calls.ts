/** ioctls of the lab's files that return a descriptor: an answer over the mount cannot be one, so the file is passed to the caller. */
import { close } from 'node:fs';
import type { HostProcess, HostProcesses } from '@vdpalab/fusefs';
import type { TrapRule } from '@vdpalab/libc';
import { O_CLOEXEC, VFIO_GROUP_GET_DEVICE_FD, __NR_ioctl } from '@vdpalab/uapi';
import type { Answer, CallFamily, TrappedCall } from './call.ts';
import { callerOf } from './caller.ts';

/** Does such an ioctl, and opens the new file. @returns a descriptor of this process; `null` when `fd` is no file of the lab */
export type PassFile = (caller: HostProcess, fd: number, cmd: number, arg: number) => Promise<number | null>;

/** VFIO's; others have files of their own. */
export const descriptorRules: readonly TrapRule[] = [{ nr: __NR_ioctl, when: [[{ arg: 1, in: [VFIO_GROUP_GET_DEVICE_FD] }]] }];

/** Passes files. */
export class DescriptorCalls implements CallFamily {
  readonly #processes: HostProcesses;
  readonly #pass: PassFile | null;

  /** @param pass `null` where the lab's files are not mounted: all descriptors are the host's */
  constructor(processes: HostProcesses, pass: PassFile | null) {
    this.#processes = processes;
    this.#pass = pass;
  }

  async answer(call: TrappedCall): Promise<Answer> {
    if (this.#pass === null || call.int(1) !== VFIO_GROUP_GET_DEVICE_FD) return 'host';
    const fd = await this.#pass(await callerOf(call, this.#processes), call.int(0), call.int(1), Number(call.raw(2)));
    if (fd === null) return 'host';
    try {
      call.returnFile(fd, O_CLOEXEC);
    } finally {
      close(fd, () => {}); // never at once: this process may serve the file
    }
    return 'answered';
  }

  async close(): Promise<void> {}
}

/** Loading and removing modules: what kmod's tools call, answered by the lab. */
import { execFile } from 'node:child_process';
import type { HostProcesses } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import { descriptorLink, type TrapRule } from '@vdpalab/libc';
import { EBADF, EFBIG, EIO, ENOEXEC, ENOMEM, __NR_delete_module, __NR_finit_module, __NR_init_module } from '@vdpalab/uapi';
import type { Answer, CallFamily, TrappedCall } from './call.ts';
import { callerOf } from './caller.ts';
import { CallError } from './call-error.ts';

/** Largest module file taken, in bytes. */
const IMAGE_MAX = 64 << 20;
/** `sizeof(Elf64_Ehdr)` */
const EHDR_SIZE = 64;
/** Longest parameters taken, in bytes. */
const PARAMETERS_MAX = 1 << 16;
/** `MODULE_NAME_LEN` less the zero byte. */
const NAME_MAX = 55;

/** The three calls. */
export const moduleRules: readonly TrapRule[] = [{ nr: __NR_init_module }, { nr: __NR_finit_module }, { nr: __NR_delete_module }];

/** Loads from the caller's file or memory. */
export class ModuleCalls implements CallFamily {
  readonly #lab: Lab;
  readonly #processes: HostProcesses;

  constructor(lab: Lab, processes: HostProcesses) {
    this.#lab = lab;
    this.#processes = processes;
  }

  async answer(call: TrappedCall): Promise<Answer> {
    const { process } = await callerOf(call, this.#processes);
    switch (call.nr) {
      case __NR_finit_module: {
        const args = call.memory.string(call.raw(1), PARAMETERS_MAX);
        const { path, bytes } = await fileOf(call.tid, call.int(0));
        await this.#lab.as(process, (p) => p.init_module(path, args, call.int(2), bytes));
        return { value: 0 };
      }
      case __NR_init_module: {
        if (call.raw(1) < EHDR_SIZE) throw new CallError(ENOEXEC, `a module of ${call.raw(1)} bytes`);
        if (call.raw(1) > IMAGE_MAX) throw new CallError(ENOMEM, `a module of ${call.raw(1)} bytes`);
        const bytes = call.memory.read(call.raw(0), Number(call.raw(1)));
        const args = call.memory.string(call.raw(2), PARAMETERS_MAX);
        await this.#lab.as(process, (p) => p.init_module('(memory)', args, 0, bytes));
        return { value: 0 };
      }
      case __NR_delete_module: {
        const name = call.memory.string(call.raw(0), NAME_MAX);
        await this.#lab.as(process, (p) => p.delete_module(name, call.int(1)));
        return { value: 0 };
      }
      default: return 'host';
    }
  }

  async close(): Promise<void> {}
}

/**
 * The file behind a caller's descriptor.
 *
 * Another process reads it: the file may be one that this process serves, and would wait for itself.
 *
 * @throws CallError EBADF EFBIG EIO
 */
async function fileOf(tid: number, fd: number): Promise<{ path: string; bytes: Uint8Array }> {
  const path = descriptorLink(tid, fd);
  if (path === null) throw new CallError(EBADF, `descriptor ${fd} of thread ${tid} is not open`);
  return new Promise((resolve, reject) => {
    execFile('cat', [`/proc/${tid}/fd/${fd}`], { encoding: 'buffer', maxBuffer: IMAGE_MAX }, (error, stdout) => {
      if (error === null) resolve({ path, bytes: stdout });
      else if ((error as { code?: unknown }).code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') reject(new CallError(EFBIG, `${path}: more than ${IMAGE_MAX} bytes`));
      else reject(new CallError(EIO, error.message));
    });
  });
}

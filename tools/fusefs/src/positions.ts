/**
 * Seeking.
 *
 * The host's kernel keeps the position of an open file, and tells of few seeks: of SEEK_DATA and SEEK_HOLE, and of
 * SEEK_END by asking for the size of the open file. A file that has a position of its own, such as /dev/kmsg, learns of
 * SEEK_SET by the offset of the next read.
 */
import type { Process } from '@vdpalab/fs';
import { SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import type { FsCalls } from './calls.ts';
import type { Handle } from './handles.ts';
import type { LabFs } from './lab-fs.ts';
import type { Replies } from './reply.ts';
import { at } from './request.ts';
import type { Arguments, FuseRequest } from './request.ts';

/** lseek(2) with SEEK_DATA or SEEK_HOLE. */
export function lseek(fs: LabFs, request: FuseRequest, args: Arguments, reply: Replies): Promise<void> {
  const handle = fs.handles.get(args.u64(at.lseek.fh));
  const offset = args.u64(at.lseek.offset);
  const whence = args.u32(at.lseek.whence);
  const client = fs.processes.of(request);
  return fs.caller.run(request, client, async (proc) => {
    handle.position = await fs.k.ksys_lseek(proc, handle.descriptor(client), offset, whence);
    reply.position(request.unique, handle.position);
  });
}

/** lseek(2) with SEEK_END, as far as it is known by now: the host's kernel has asked for attributes of an open file. */
export function seekEnd(fs: LabFs, request: FuseRequest, handle: Handle, answer: () => void): Promise<void> | undefined {
  if (handle.file.ops.ownPosition !== true) return answer() as undefined;
  const client = fs.processes.of(request);
  return fs.caller.run(request, client, async (proc) => {
    handle.position = await fs.k.ksys_lseek(proc, handle.descriptor(client), 0, SEEK_END);
    answer();
  });
}

/** Before a read: back to the beginning, when that is where it is to be and the last one ended elsewhere. */
export async function follow(k: Pick<FsCalls, 'ksys_lseek'>, proc: Process, fd: number, { file, position }: Handle, offset: number): Promise<void> {
  if (file.ops.ownPosition === true && offset === 0 && position !== 0) await k.ksys_lseek(proc, fd, 0, SEEK_SET);
}

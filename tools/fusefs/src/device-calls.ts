/** ioctl and poll of open files. */
import type { Atomic } from '@vdpalab/abi';
import { FUSE_POLL_SCHEDULE_NOTIFY, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, POLLERR, POLLHUP } from '@vdpalab/uapi';
import type { Handle } from './handles.ts';
import type { LabFs } from './lab-fs.ts';
import type { Replies } from './reply.ts';
import { at } from './request.ts';
import type { Arguments, FuseRequest } from './request.ts';

/** What a file without a poll operation is always ready for: DEFAULT_POLLMASK. */
const ALWAYS = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/**
 * ioctl(2). The lab's driver gets the caller's own `arg`, and reads and writes what it points to through the client's
 * `mm`; the bytes the host's kernel copied for the request are not used.
 */
export function ioctl(fs: LabFs, request: FuseRequest, args: Arguments, reply: Replies): Promise<void> {
  const handle = fs.handles.get(args.u64(at.ioctl.fh));
  const cmd = args.u32(at.ioctl.cmd);
  const arg = args.u64(at.ioctl.arg);
  const client = fs.processes.of(request);
  return fs.caller.run(request, client, async (proc) => {
    reply.ioctl(request.unique, await fs.k.ksys_ioctl(proc, handle.descriptor(client), cmd, arg), null);
  });
}

/** poll(2). The host's kernel sleeps for the caller; it is woken when the file's queue is. */
export function poll(fs: LabFs, request: FuseRequest, args: Arguments, reply: Replies): Promise<void> {
  const handle = fs.handles.get(args.u64(at.poll.fh));
  const kh = args.u64(at.poll.kh);
  const wantsWakeup = (args.u32(at.poll.flags) & FUSE_POLL_SCHEDULE_NOTIFY) !== 0;
  const events = args.u32(at.poll.events) | POLLERR | POLLHUP;
  return fs.caller.run(request, fs.processes.of(request), async () => {
    const ready = handle.file.ops.poll?.(handle.file) ?? ALWAYS;
    if (wantsWakeup && (ready & events) === 0) watch(handle, kh, reply);
    reply.poll(request.unique, ready);
  });
}

/** Have the host's kernel told of the next wake-up; it asks again then. */
function watch(handle: Handle, kh: number, reply: Replies): void {
  const queue = handle.file.ops.pollQueue?.(handle.file);
  if (queue === undefined || handle.unwatch !== null) return;
  const wake = (): Atomic => {
    unwatch();
    reply.pollWakeup(kh);
  };
  const unwatch = (): void => {
    queue.watchers.delete(wake);
    handle.unwatch = null;
  };
  handle.unwatch = unwatch;
  queue.watchers.add(wake);
}

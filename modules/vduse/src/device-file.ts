/** `/dev/vduse/NAME`: the process reads questions and writes answers. Mirrors `vduse_dev_fops` in `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { isKernelError, KernelError, type KModule } from '@vdpalab/abi';
import type { FileOperations } from '@vdpalab/fs';
import type { SchedSymbols } from '@vdpalab/sched';
import { O_NONBLOCK, POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, vduse_dev_request, vduse_dev_response } from '@vdpalab/uapi';
import type { VduseDev } from './device.ts';
import { deviceIoctl, type IoctlSymbols } from './device-ioctl.ts';

/** The file operations of one device's node. */
export function deviceFile(k: IoctlSymbols & Pick<SchedSymbols, 'wait_event'>, dev: VduseDev, owner: KModule): FileOperations {
  const { messages } = dev;
  return {
    owner,
    async open() {
      await k.mutex_lock(dev.lock);
      try {
        if (dev.connected) throw new KernelError('EBUSY', 'vduse.open.busy', `/dev/vduse/${dev.name}: open already`);
        dev.connected = true;
      } finally {
        k.mutex_unlock(dev.lock);
      }
    },
    async release() {
      leaveUmem(dev);
      messages.requeue(); // whoever opens it next answers them
      dev.connected = false;
    },
    async read(file, len) {
      if (len < vduse_dev_request.size) {
        throw new KernelError('EINVAL', 'vduse.read.size', `/dev/vduse/${dev.name}: ${len} bytes for a request of ${vduse_dev_request.size}`);
      }
      let message = messages.take();
      while (message === null) {
        if ((file.flags & O_NONBLOCK) !== 0) throw new KernelError('EAGAIN', 'vduse.read.none', `/dev/vduse/${dev.name}: no request`);
        await k.wait_event(messages.waitq, () => messages.readable, `a request to ${dev.name}`);
        message = messages.take();
      }
      return vduse_dev_request.encode({ type: message.type, request_id: message.id, padding: padded(message.body) });
    },
    async write(_, bytes) {
      if (bytes.length < vduse_dev_response.size) {
        throw new KernelError('EINVAL', 'vduse.write.size', `/dev/vduse/${dev.name}: ${bytes.length} bytes for a response of ${vduse_dev_response.size}`);
      }
      messages.answer(vduse_dev_response.decode(bytes));
      return vduse_dev_response.size;
    },
    poll: () => (messages.broken ? POLLERR : 0)
      | (messages.readable ? POLLIN | POLLRDNORM : 0) | (messages.writable ? POLLOUT | POLLWRNORM : 0),
    pollQueue: () => messages.waitq,
    unlocked_ioctl: (_, cmd, arg, proc) => deviceIoctl(k, dev, cmd, arg, proc),
  };
}

/** Registered memory goes with its process; where there is no room for other pages, it goes with the device. */
function leaveUmem(dev: VduseDev): void {
  if (dev.umem === null) return;
  try {
    dev.leaveUmem(dev.umem.iova, dev.umem.size);
  } catch (error) {
    if (!isKernelError(error)) throw error;
  }
}

/** The union of a request is as large as its largest member. */
function padded(body: Uint8Array): Uint8Array {
  const padding = new Uint8Array(128);
  padding.set(body);
  return padding;
}

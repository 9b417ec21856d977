/** Attributes of sysfs: text and binary. Mirrors `fs/sysfs/file.c` and `fs/kernfs/file.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, KernelSymbols } from '@vdpalab/abi';
import { POLLERR, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM, S_IRUGO, S_IWUGO } from '@vdpalab/uapi';
import type { WaitQueue } from '@vdpalab/sched';
import type { ActiveNodes } from './active.ts';
import type { AttributeOps, BinAttributeOps, File, FileOperations } from './header.ts';
import { generic_file_llseek } from './seek.ts';
import { decodeText, encodeText } from './text.ts';
import { pathOf } from './tree.ts';
import type { Content, TreeNode } from './tree.ts';

/** Bytes of an attribute: a page. */
export const ATTRIBUTE_MAX = 4096;

/** Content of an attribute, with what its pollers wait on. */
export interface AttributeContent extends Content {
  readonly notify: () => Atomic;
}

/** Makes contents of attributes. */
export interface AttributeMaker {
  readonly text: (ops: AttributeOps) => AttributeContent;
  readonly binary: (ops: BinAttributeOps) => AttributeContent;
  /** `sysfs_notify` */
  readonly notify: (content: Content) => Atomic;
}

/** What an open attribute keeps: `struct kernfs_open_file`. */
interface OpenAttribute {
  text: Uint8Array | null;
  /** Notifications seen at the last read. */
  event: number;
}

type Needs = Pick<KernelSymbols, '_printk' | 'init_waitqueue_head' | 'wake_up'>;

/** The open attribute's state, made at its first use. */
function stateOf(file: File, event: number): OpenAttribute {
  file.private_data ??= { text: null, event } satisfies OpenAttribute;
  return file.private_data as OpenAttribute; // only this file's ops set it
}

/** `kernfs_fop_open` with KERNFS_ROOT_EXTRA_OPEN_PERM_CHECK: mode bits and ops count even for root. */
function checkOpen(node: TreeNode, read: boolean, write: boolean, canRead: boolean, canWrite: boolean): void {
  const mode = node.mode.toString(8);
  if (write && ((node.mode & S_IWUGO) === 0 || !canWrite)) {
    throw new KernelError('EACCES', 'fs.attribute.open-write', `${pathOf(node)}: mode ${mode}, ${canWrite ? 'a' : 'no'} store`);
  }
  if (read && ((node.mode & S_IRUGO) === 0 || !canRead)) {
    throw new KernelError('EACCES', 'fs.attribute.open-read', `${pathOf(node)}: mode ${mode}, ${canRead ? 'a' : 'no'} show`);
  }
}

/** Make the attribute contents of one kernel. */
export function createAttributes(k: Needs, active: ActiveNodes): AttributeMaker {
  const ready = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

  /** What text and binary attributes share: being told apart from other files, and polled. */
  function notifiable(): { event: () => number; queue: () => WaitQueue; notify: () => Atomic } {
    let events = 0;
    let queue: WaitQueue | null = null; // most attributes are never polled
    return {
      event: () => events,
      queue: () => (queue ??= k.init_waitqueue_head('attribute')),
      notify: (): Atomic => {
        events++;
        return queue === null ? undefined : k.wake_up(queue);
      },
    };
  }

  async function fill(file: File, ops: AttributeOps): Promise<Uint8Array> {
    if (ops.show === undefined) throw new KernelError('EIO', 'fs.attribute.no-show', `${file.path} cannot be read`);
    const text = encodeText(await ops.show());
    if (text.length < ATTRIBUTE_MAX) return text;
    k._printk(4, `fill_read_buffer: ${file.path} returned bad count`);
    return text.subarray(0, ATTRIBUTE_MAX - 1);
  }

  function text(ops: AttributeOps): AttributeContent {
    const { event, queue, notify } = notifiable();
    const size = ops.size ?? ATTRIBUTE_MAX;
    return {
      notify,
      size: () => size,
      // A missing show is found out at the read, because the mode bits of device attributes decide the open.
      checkOpen: (node, read, write) => checkOpen(node, read, write, true, ops.store !== undefined),
      truncate: () => {},
      ops: {
        open: async (file) => void stateOf(file, event()),
        read: (file, len, pos) => active.using(file, async () => {
          const state = stateOf(file, event());
          if (pos === 0 || state.text === null) {
            state.event = event();
            state.text = await fill(file, ops);
          }
          return state.text.slice(pos, pos + len);
        }),
        write: (file, bytes) => active.using(file, async () => {
          const taken = bytes.subarray(0, ATTRIBUTE_MAX);
          if (taken.length === 0) return 0;
          if (ops.store === undefined) throw new KernelError('EIO', 'fs.attribute.no-store', `${file.path} cannot be written`);
          await ops.store(decodeText(taken));
          return taken.length;
        }),
        llseek: (file, offset, whence) => generic_file_llseek(file, offset, whence, size),
        poll: (file) => (stateOf(file, event()).event === event() ? ready : ready | POLLERR | POLLPRI),
        pollQueue: queue,
      },
    };
  }

  function mapper(mmap: NonNullable<BinAttributeOps['mmap']>): NonNullable<FileOperations['mmap']> {
    return (file, area, proc) => active.using(file, () => mmap(area, proc));
  }

  function binary(ops: BinAttributeOps): AttributeContent {
    const { event, queue, notify } = notifiable();
    const { size } = ops;
    return {
      notify,
      size: () => size,
      checkOpen: (node, read, write) =>
        checkOpen(node, read, write, (ops.read ?? ops.mmap) !== undefined, (ops.write ?? ops.mmap) !== undefined),
      truncate: () => {},
      ops: {
        read: (file, len, pos) => active.using(file, async () => {
          const end = Math.min(pos + Math.min(len, ATTRIBUTE_MAX), size === 0 ? Infinity : size);
          if (end <= pos) return new Uint8Array(0);
          if (ops.read === undefined) throw new KernelError('EIO', 'fs.attribute.no-show', `${file.path} cannot be read`);
          return ops.read(pos, end - pos);
        }),
        write: (file, bytes, pos) => active.using(file, async () => {
          if (size !== 0 && pos >= size) {
            throw new KernelError('EFBIG', 'fs.attribute.bin-end', `${file.path}: write at ${pos}, size ${size}`);
          }
          const taken = bytes.subarray(0, Math.min(ATTRIBUTE_MAX, size === 0 ? Infinity : size - pos));
          if (taken.length === 0) return 0;
          if (ops.write === undefined) throw new KernelError('EIO', 'fs.attribute.no-store', `${file.path} cannot be written`);
          return ops.write(pos, taken);
        }),
        ...(ops.mmap === undefined ? {} : { mmap: mapper(ops.mmap) }),
        llseek: (file, offset, whence) => generic_file_llseek(file, offset, whence, size),
        poll: (file) => (stateOf(file, event()).event === event() ? ready : ready | POLLERR | POLLPRI),
        pollQueue: queue,
      },
    };
  }

  return {
    text,
    binary,
    notify: (content): Atomic => {
      if (!('notify' in content)) throw new Error('sysfs_notify of a file that is no attribute');
      return (content as AttributeContent).notify(); // nothing else has a notify
    },
  };
}

/** Opening by path. Mirrors `fs/open.c` and `path_openat` in `fs/namei.c` (Linux 6.1). */
import {
  O_ACCMODE, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_TRUNC, R_OK, W_OK,
} from '@vdpalab/uapi';
import type { Chrdevs } from './chrdev.ts';
import { fail } from './fail.ts';
import type { FileOperations, FsSymbols } from './header.ts';
import { treeNode } from './kernfs.ts';
import type { NodeMaker } from './kernfs.ts';
import { memoryContent } from './memory-file.ts';
import type { OpenFile, OpenFileInit, OpenFiles } from './open-file.ts';
import { isOrdinary } from './path.ts';
import type { Found, Walker } from './path.ts';
import { checkMayAdd, checkPermission } from './permission.ts';
import { processImpl } from './process.ts';
import type { ProcessImpl } from './process.ts';
import { generic_file_llseek } from './seek.ts';
import { attach, DeviceTreeNode, DirTreeNode, FileTreeNode, LinkTreeNode, pathOf } from './tree.ts';
import type { TreeNode } from './tree.ts';


/** What read and write access each O_ACCMODE asks for: O_RDONLY, O_WRONLY, O_RDWR, and 3 for ioctl only. */
const ACCESS = [R_OK, W_OK, R_OK | W_OK, R_OK | W_OK] as const;

const directoryOps: FileOperations = {
  read: async (file) => {
    throw fail('EISDIR', 'read.directory', `${file.path} is a directory`);
  },
  llseek: (file, offset, whence) => generic_file_llseek(file, offset, whence, 0),
};

/** Make the open call of one kernel. */
export function createOpen(
  walker: Walker, make: NodeMaker, files: OpenFiles, chrdevs: Chrdevs, blkdevs: Pick<Chrdevs, 'find'>,
): Pick<FsSymbols, 'ksys_open' | 'dentry_open'> {
  /** @throws ENOENT EACCES EISDIR as the directory's file system does */
  function create(found: Found, proc: ProcessImpl, mode: number): FileTreeNode {
    const { parent, name } = found;
    if (parent.flavour === 'proc') throw fail('ENOENT', 'open.missing', `${pathOf(parent)} has no ${name}`);
    checkMayAdd(parent, proc);
    if (parent.flavour === 'sysfs') throw fail('EACCES', 'open.create', `${pathOf(parent)}: no file can be made in sysfs`);
    const content = memoryContent(new Uint8Array(0), () => { node.mtime = make.now(); });
    const node: FileTreeNode = make.file(name, mode & 0o7777 & ~proc.umask, parent.flavour, content, proc.cred);
    attach(parent, node);
    return node;
  }

  /** The node to open, made when it is missing and may be. */
  function resolve(proc: ProcessImpl, path: string, flags: number, mode: number): { node: TreeNode; made: boolean } {
    const creating = (flags & O_CREAT) !== 0;
    const exclusive = creating && (flags & O_EXCL) !== 0;
    const found = walker.walk(proc, path, (flags & O_NOFOLLOW) === 0 && !exclusive);
    const { node } = found;
    if (creating && (found.slash || !isOrdinary(found))) throw fail('EISDIR', 'open.create', `${path} names a directory`);
    if (node === null) {
      if (!creating) throw fail('ENOENT', 'open.missing', `${path}: ${pathOf(found.parent)} has no ${found.name}`);
      return { node: create(found, proc, mode), made: true };
    }
    if (exclusive) throw fail('EEXIST', 'open.exclusive', `${pathOf(node)} exists`);
    if (found.slash && !(node instanceof DirTreeNode)) throw fail('ENOTDIR', 'path.not-dir', `${pathOf(node)} is no directory`);
    if (creating && node instanceof DirTreeNode) throw fail('EISDIR', 'open.create', `${pathOf(node)} is a directory`);
    return { node, made: false };
  }

  /** `may_open` and the file system's own word. */
  function checkAccess(node: TreeNode, proc: ProcessImpl, flags: number): void {
    const access = ACCESS[(flags & O_ACCMODE) as 0 | 1 | 2 | 3];
    if ((flags & O_DIRECTORY) !== 0 && !(node instanceof DirTreeNode)) {
      throw fail('ENOTDIR', 'open.directory', `${pathOf(node)} is no directory`);
    }
    if (node instanceof LinkTreeNode) throw fail('ELOOP', 'open.nofollow', `${pathOf(node)} is a symbolic link`);
    const mask = access | ((flags & O_TRUNC) === 0 ? 0 : W_OK);
    if (node instanceof DirTreeNode && (mask & W_OK) !== 0) throw fail('EISDIR', 'open.write', `${pathOf(node)} is a directory`);
    checkPermission(node, proc, mask);
  }

  /** What a file of this node is. @throws ENXIO when a device has no driver, or one that is going */
  function describe(node: TreeNode, flags: number): OpenFileInit {
    const path = pathOf(node);
    if (node instanceof FileTreeNode) {
      const access = (flags & O_ACCMODE) as 0 | 1 | 2 | 3;
      node.content.checkOpen?.(node, access === 0 || access === 2, access === 1 || access === 2);
      return { path, flags, ops: node.content.ops, private_data: null, node, holds: [] };
    }
    if (node instanceof DeviceTreeNode) {
      const { ops, owner, private_data } = (node.kind === 'blk' ? blkdevs : chrdevs).find(node.major, node.minor);
      // One reference for the cdev and one for its file operations, as chrdev_open takes them.
      const holds = [owner, ops.owner ?? null];
      if (!files.hold(holds)) throw fail('ENXIO', 'open.going', `${path}: its driver's module is going`);
      return { path, flags, ops, private_data, node, holds };
    }
    return { path, flags, ops: directoryOps, private_data: null, node, holds: [] };
  }

  async function openPath(proc: ProcessImpl, path: string, flags: number, mode: number): Promise<OpenFile> {
    const { node, made } = resolve(proc, path, flags, mode);
    if (!made) checkAccess(node, proc, flags);
    return openNode(proc, node, made ? flags & ~O_TRUNC : flags);
  }

  async function openNode(proc: ProcessImpl, node: TreeNode, flags: number): Promise<OpenFile> {
    const file = files.create(describe(node, flags), proc);
    try {
      await file.ops.open?.(file, proc);
    } catch (error) {
      files.abandon(file); // not opened, so not released
      throw error;
    }
    if ((flags & O_TRUNC) !== 0 && node instanceof FileTreeNode) node.content.truncate?.();
    return file;
  }

  /** Give what `open` opens the lowest free descriptor. */
  async function install(proc: ProcessImpl, open: () => Promise<OpenFile>): Promise<number> {
    const fd = files.reserve(proc);
    try {
      return await files.install(proc, fd, await open());
    } finally {
      files.unreserve(proc, fd);
    }
  }

  return {
    ksys_open: async (given, path, flags, mode = 0o666) => {
      const proc = processImpl(given);
      return install(proc, () => openPath(proc, path, flags, mode));
    },
    dentry_open: async (given, at, flags) => {
      const proc = processImpl(given);
      const node = treeNode(at);
      if (node.removed) throw fail('ENOENT', 'open.removed', `${pathOf(node)} was removed`);
      checkAccess(node, proc, flags);
      return install(proc, () => openNode(proc, node, flags));
    },
  };
}

/** Making, removing and asking about names. Mirrors `fs/namei.c`, `fs/stat.c` and `fs/readdir.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import { CAP_CHOWN, CAP_FOWNER, CAP_MKNOD, F_OK, R_OK, W_OK, X_OK } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { FsSymbols, Process, Stat } from './header.ts';
import { treeDir, treeNode } from './kernfs.ts';
import type { NodeMaker, Roots } from './kernfs.ts';
import { inKernfsOrder, inProcOrder, newestFirst } from './name-order.ts';
import { isOrdinary } from './path.ts';
import type { Found, Walker } from './path.ts';
import { checkMayAdd, checkMayDelete, checkPermission } from './permission.ts';
import { encodeText } from './text.ts';
import { attach, detach, DeviceTreeNode, DirTreeNode, FileTreeNode, LinkTreeNode, pathOf } from './tree.ts';
import type { TreeNode } from './tree.ts';

type NameSymbols = Pick<FsSymbols,
  | 'ksys_stat' | 'ksys_readlink' | 'ksys_readdir' | 'ksys_mkdir' | 'ksys_mknod' | 'ksys_unlink' | 'ksys_rmdir' | 'ksys_symlink'
  | 'ksys_rename' | 'ksys_access' | 'ksys_chmod' | 'ksys_chown' | 'ksys_utimes' | 'vfs_getattr' | 'vfs_get_link' | 'inode_permission' | 'iterate_dir'>;

/** Make the calls on names of one kernel. */
export function createNames(walker: Walker, make: NodeMaker, roots: Roots, seconds: () => number): NameSymbols {
  const mounts: ReadonlySet<TreeNode> = new Set(Object.values(roots));

  /** Users add and remove names in memory file systems only. @throws EPERM elsewhere */
  function checkWritableFs(dir: DirTreeNode, what: string): void {
    if (dir.flavour === 'ramfs' || dir.flavour === 'devtmpfs') return;
    throw fail('EPERM', 'names.flavour', `${what} in ${pathOf(dir)}: ${dir.flavour} does not allow it`);
  }

  /** Where a new name goes: `filename_create`. @throws EEXIST ENOENT EACCES EPERM */
  function placeFor(proc: Process, path: string, what: string, wantDir: boolean): Found {
    const found = walker.walk(proc, path, false);
    if (found.node !== null || !isOrdinary(found)) throw fail('EEXIST', `${what}.exists`, `${path} exists`);
    if (found.slash && !wantDir) throw fail('ENOENT', `${what}.slash`, `${path}: a slash after a name that is no directory`);
    if (found.parent.flavour === 'proc') throw fail('ENOENT', `${what}.proc`, `${pathOf(found.parent)} has no ${found.name}`);
    checkMayAdd(found.parent, proc);
    checkWritableFs(found.parent, what);
    return found;
  }

  /** What is to be removed. @throws ENOENT */
  function victimOf(proc: Process, path: string): { found: Found; victim: TreeNode } {
    const found = walker.walk(proc, path, false);
    if (found.node === null) throw fail('ENOENT', 'path.missing', `${path}: ${pathOf(found.parent)} has no ${found.name}`);
    return { found, victim: found.node };
  }

  /** The node whose attributes are set. @throws ENOENT EPERM for a stranger */
  function ownedNode(proc: Process, path: string, followLink: boolean, what: string): TreeNode {
    const { node, parent, name } = walker.walk(proc, path, followLink);
    if (node === null) throw fail('ENOENT', 'path.missing', `${path}: ${pathOf(parent)} has no ${name}`);
    if (node.uid !== proc.cred.uid && !proc.cred.caps.has(CAP_FOWNER)) throw fail('EPERM', `${what}.owner`, `${path}: owner ${node.uid}, uid ${proc.cred.uid}`);
    return node;
  }

  function statOf(node: TreeNode, proc: Process): Stat {
    const isDir = node instanceof DirTreeNode;
    let subdirs = 0;
    if (isDir) for (const child of node.children.values()) if (child instanceof DirTreeNode) subdirs++;
    return {
      ino: node.ino,
      kind: node.kind,
      mode: node.mode,
      nlink: isDir ? 2 + subdirs : 1,
      uid: node.uid,
      gid: node.gid,
      size: sizeOf(node, proc),
      rdev: node instanceof DeviceTreeNode ? { major: node.major, minor: node.minor } : null,
      mtime: node.mtime,
    };
  }

  function unlinkTarget(proc: Process, path: string): TreeNode {
    const { found, victim } = victimOf(proc, path);
    if (!isOrdinary(found)) throw fail('EISDIR', 'unlink.directory', `${path} is a directory`);
    if (found.slash) {
      throw victim instanceof DirTreeNode
        ? fail('EISDIR', 'unlink.directory', `${path} is a directory`)
        : fail('ENOTDIR', 'path.not-dir', `${path} is no directory`);
    }
    checkMayDelete(found.parent, victim, proc);
    if (victim instanceof DirTreeNode) throw fail('EISDIR', 'unlink.directory', `${path} is a directory`);
    checkWritableFs(found.parent, 'unlink');
    return victim;
  }

  function rmdirTarget(proc: Process, path: string): DirTreeNode {
    const { found, victim } = victimOf(proc, path);
    if (found.name === '.') throw fail('EINVAL', 'rmdir.dot', `${path} ends in .`);
    if (found.name === '..') throw fail('ENOTEMPTY', 'rmdir.dot', `${path} ends in ..`);
    if (found.name === '') throw fail('EBUSY', 'rmdir.mount', '/ is in use');
    checkMayDelete(found.parent, victim, proc);
    if (!(victim instanceof DirTreeNode)) throw fail('ENOTDIR', 'path.not-dir', `${path} is no directory`);
    checkWritableFs(found.parent, 'rmdir');
    if (mounts.has(victim)) throw fail('EBUSY', 'rmdir.mount', `${path} is a mount point`);
    if (victim.children.size > 0) throw fail('ENOTEMPTY', 'rmdir.children', `${path} has ${victim.children.size} entries`);
    return victim;
  }

  /** @throws as rename(2); the tree is as it was then */
  function rename(proc: Process, from: string, to: string): void {
    const source = victimOf(proc, from);
    const target = walker.walk(proc, to, false);
    const { victim } = source;
    if (!isOrdinary(source.found) || !isOrdinary(target)) throw fail('EBUSY', 'rename.dot', `${from} to ${to}: . or ..`);
    if (source.found.parent.flavour !== target.parent.flavour || mounts.has(victim)) {
      throw fail('EXDEV', 'rename.device', `${from} and ${to} are on different file systems`);
    }
    const isDir = victim instanceof DirTreeNode;
    if (!isDir && (source.found.slash || target.slash)) throw fail('ENOTDIR', 'path.not-dir', `${from} is no directory`);
    for (let at: TreeNode | null = target.parent; at !== null; at = at.parent) {
      if (at === victim) throw fail('EINVAL', 'rename.loop', `${to} is below ${from}`);
    }
    checkMayDelete(source.found.parent, victim, proc);
    const old = target.node;
    if (old === victim) return;
    if (old === null) checkMayAdd(target.parent, proc);
    else checkMayDelete(target.parent, old, proc);
    checkWritableFs(target.parent, 'rename');
    if (old !== null) checkReplaceable(victim, old, to);
    if (old !== null) detach(old);
    source.found.parent.children.delete(victim.name);
    victim.name = target.name;
    attach(target.parent, victim);
  }

  function checkReplaceable(victim: TreeNode, old: TreeNode, to: string): void {
    if (mounts.has(old)) throw fail('EBUSY', 'rename.mount', `${to} is a mount point`);
    if (victim instanceof DirTreeNode && !(old instanceof DirTreeNode)) throw fail('ENOTDIR', 'rename.kind', `${to} is no directory`);
    if (!(victim instanceof DirTreeNode) && old instanceof DirTreeNode) throw fail('EISDIR', 'rename.kind', `${to} is a directory`);
    if (old instanceof DirTreeNode && old.children.size > 0) throw fail('ENOTEMPTY', 'rename.children', `${to} has ${old.children.size} entries`);
  }

  return {
    ksys_stat: async (proc, path, followLink) => statOf(walker.lookup(proc, path, followLink), proc),
    ksys_readlink: async (proc, path) => linkText(walker.lookup(proc, path, false), proc),
    vfs_getattr: (node, proc) => statOf(treeNode(node), proc),
    vfs_get_link: (node, proc) => linkText(treeNode(node), proc),
    inode_permission: (node, proc, mask): Atomic => {
      checkPermission(treeNode(node), proc, mask);
    },
    iterate_dir: (given) => {
      const dir = treeDir(given);
      const entries: { name: string; node: TreeNode }[] = [];
      for (const name of listing(dir)) {
        const node = dir.child(name);
        if (node !== null) entries.push({ name, node });
      }
      return entries;
    },
    ksys_readdir: async (proc, path) => {
      const dir = walker.lookupDir(proc, path);
      checkPermission(dir, proc, R_OK);
      return listing(dir).map((name) => ({ name, kind: dir.child(name)?.kind ?? 'file' }));
    },
    ksys_access: async (proc, path, mode) => {
      if (!Number.isSafeInteger(mode) || (mode & ~(R_OK | W_OK | X_OK)) !== 0) throw fail('EINVAL', 'access.mode', `mode ${mode}`);
      const node = walker.lookup(proc, path, true);
      if (mode !== F_OK) checkPermission(node, proc, mode);
    },
    ksys_mkdir: async (proc, path, mode) => {
      const { parent, name } = placeFor(proc, path, 'mkdir', true);
      attach(parent, make.dir(name, mode & 0o1777 & ~proc.umask, parent.flavour, proc.cred));
    },
    ksys_mknod: async (proc, path, mode, { major, minor }) => {
      const { parent, name } = placeFor(proc, path, 'mknod', false);
      if (!proc.cred.caps.has(CAP_MKNOD)) throw fail('EPERM', 'mknod.cap', `${path}: CAP_MKNOD is missing`);
      attach(parent, make.device(name, mode & 0o1777 & ~proc.umask, parent.flavour, 'chr', major, minor, proc.cred));
    },
    ksys_chmod: async (proc, path, mode) => {
      const node = ownedNode(proc, path, true, 'chmod');
      if (node.flavour === 'proc') throw fail('EPERM', 'chmod.proc', `${path} is in /proc`);
      node.mode = mode & 0o7777;
    },
    ksys_chown: async (proc, path, uid, gid, followLink) => {
      const node = ownedNode(proc, path, followLink, 'chown');
      if ((uid >= 0 && uid !== node.uid) && !proc.cred.caps.has(CAP_CHOWN)) throw fail('EPERM', 'chown.cap', `${path}: CAP_CHOWN is missing`);
      if (uid >= 0) node.uid = uid;
      if (gid >= 0) node.gid = gid;
    },
    ksys_utimes: async (proc, path, mtime, followLink) => {
      ownedNode(proc, path, followLink, 'utimes').mtime = mtime ?? seconds();
    },
    ksys_symlink: async (proc, target, path) => {
      if (target === '') throw fail('ENOENT', 'symlink.target', 'an empty target');
      const { parent, name } = placeFor(proc, path, 'symlink', false);
      attach(parent, make.link(name, parent.flavour, target, proc.cred));
    },
    ksys_unlink: async (proc, path) => detach(unlinkTarget(proc, path)),
    ksys_rmdir: async (proc, path) => detach(rmdirTarget(proc, path)),
    ksys_rename: async (proc, from, to) => rename(proc, from, to),
  };
}

function linkText(node: TreeNode, reader: Process): string {
  if (!(node instanceof LinkTreeNode)) throw fail('EINVAL', 'readlink.kind', `${pathOf(node)} is no symbolic link`);
  return node.text(reader);
}

function sizeOf(node: TreeNode, proc: Process): number {
  if (node instanceof FileTreeNode) return node.content.size();
  // sysfs and procfs links have no size; those of memory file systems have their text's.
  const inMemory = node.flavour === 'ramfs' || node.flavour === 'devtmpfs';
  return node instanceof LinkTreeNode && inMemory ? encodeText(node.text(proc)).length : 0;
}

/** Names as the directory's file system lists them. */
function listing(dir: DirTreeNode): readonly string[] {
  const names = [...dir.children.keys(), ...(dir.dynamic?.list() ?? [])];
  if (dir.flavour === 'sysfs') return inKernfsOrder(names);
  return dir.flavour === 'proc' ? inProcOrder(names) : newestFirst(names);
}

/** Nodes that kernel code makes. Mirrors `fs/kernfs/dir.c`, `fs/sysfs` and `fs/proc/generic.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { ActiveNodes } from './active.ts';
import type { AttributeMaker } from './attribute.ts';
import type { DirNode, FsSymbols, Node } from './header.ts';
import { memoryContent } from './memory-file.ts';
import type { ProcFileMaker } from './proc-file.ts';
import { encodeText } from './text.ts';
import {
  attach, detach, DeviceTreeNode, DirTreeNode, FileTreeNode, LinkTreeNode, pathOf, TreeNode,
} from './tree.ts';
import type { Content, Flavour, NodeInit } from './tree.ts';

/** Makes nodes with consecutive inode numbers and the lab's time. */
export interface NodeMaker {
  readonly dir: (name: string, mode: number, flavour: Flavour, owner?: Owner) => DirTreeNode;
  readonly file: (name: string, mode: number, flavour: Flavour, content: Content, owner?: Owner) => FileTreeNode;
  readonly link: (name: string, flavour: Flavour, target: LinkTreeNode['target'], owner?: Owner) => LinkTreeNode;
  readonly device: (name: string, mode: number, flavour: Flavour, kind: 'chr' | 'blk', major: number, minor: number, owner?: Owner) => DeviceTreeNode;
  /** Seconds since the epoch of the lab's clock. */
  readonly now: () => number;
}

/** Whom a new node belongs to; root when absent. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** @param now seconds since the epoch */
export function createNodeMaker(now: () => number): NodeMaker {
  let ino = 0;
  const init = (name: string, mode: number, flavour: Flavour, owner: Owner = { uid: 0, gid: 0 }): NodeInit =>
    ({ name, mode, flavour, ino: ++ino, mtime: now(), uid: owner.uid, gid: owner.gid });
  return {
    now,
    dir: (name, mode, flavour, owner) => new DirTreeNode(init(name, mode, flavour, owner)),
    file: (name, mode, flavour, content, owner) => new FileTreeNode(init(name, mode, flavour, owner), content),
    link: (name, flavour, target, owner) => new LinkTreeNode(init(name, 0o777, flavour, owner), target),
    device: (name, mode, flavour, kind, major, minor, owner) => new DeviceTreeNode(init(name, mode, flavour, owner), kind, major, minor),
  };
}

/** The four roots there are. */
export interface Roots {
  readonly root: DirTreeNode;
  readonly sys: DirTreeNode;
  readonly proc: DirTreeNode;
  readonly dev: DirTreeNode;
}

/** Make `/` with its mount points and the usual directories. */
export function createRoots(make: NodeMaker): Roots {
  const root = make.dir('', 0o755, 'ramfs');
  const below = (name: string, flavour: Flavour = 'ramfs', mode = 0o755): DirTreeNode => {
    const dir = make.dir(name, mode, flavour);
    attach(root, dir);
    return dir;
  };
  for (const name of ['bin', 'etc', 'home', 'lib', 'root', 'run', 'sbin', 'usr', 'var']) below(name);
  below('tmp', 'ramfs', 0o1777);
  return { root, sys: below('sys', 'sysfs', 0o555), proc: below('proc', 'proc', 0o555), dev: below('dev', 'devtmpfs') };
}

/** The node of this kernel behind a {@link Node}. */
export function treeNode(node: Node): TreeNode {
  if (node instanceof TreeNode) return node;
  throw new Error(`node ${node.name} is not of this kernel's tree`);
}

/** The directory of this kernel behind a {@link DirNode}. */
export function treeDir(node: DirNode): DirTreeNode {
  if (node instanceof DirTreeNode) return node;
  throw new Error(`directory ${node.name} is not of this kernel's tree`);
}

type KernfsSymbols = Pick<FsSymbols,
  | 'sysfs_root' | 'proc_root' | 'dev_root' | 'root_dir' | 'kernfs_create_dir' | 'kernfs_create_file' | 'kernfs_create_bin_file'
  | 'kernfs_create_link' | 'kernfs_remove' | 'kernfs_drain' | 'kernfs_remove_by_name' | 'kernfs_rename' | 'kernfs_find' | 'kernfs_path'
  | 'sysfs_notify' | 'ramfs_write' | 'proc_create'>;

/** Make the symbols that grow and prune the tree. */
export function createKernfs(
  roots: Roots, make: NodeMaker, attributes: AttributeMaker, active: ActiveNodes, procFile: ProcFileMaker,
): KernfsSymbols & { readonly makeDirs: (path: string) => { dir: DirTreeNode; name: string } } {
  const mounts: ReadonlySet<TreeNode> = new Set([roots.root, roots.sys, roots.proc, roots.dev]);

  function refuseMount(node: TreeNode, what: string): void {
    if (mounts.has(node)) throw new Error(`${what} of ${pathOf(node)}: a mount point`);
  }

  /** The directory of `path`, made where it is missing, and the last name. */
  function makeDirs(path: string): { dir: DirTreeNode; name: string } {
    const names = path.split('/').filter((name) => name !== '');
    const name = names.pop();
    if (name === undefined) throw new KernelError('EINVAL', 'fs.tree.name', `"${path}" names no file`);
    let dir = roots.root;
    for (const step of names) {
      let next = dir.child(step);
      if (next === null) {
        next = make.dir(step, dir.flavour === 'proc' ? 0o555 : 0o755, dir.flavour);
        attach(dir, next);
      }
      if (!(next instanceof DirTreeNode)) throw new KernelError('ENOTDIR', 'fs.path.not-dir', `${pathOf(next)} is no directory`);
      dir = next;
    }
    return { dir, name };
  }

  function add<N extends TreeNode>(parent: DirNode, node: N): N {
    attach(treeDir(parent), node);
    return node;
  }

  return {
    sysfs_root: roots.sys,
    proc_root: roots.proc,
    dev_root: roots.dev,
    root_dir: roots.root,
    makeDirs,
    kernfs_create_dir: (parent, name, mode = 0o755) => add(parent, make.dir(name, mode, treeDir(parent).flavour)),
    kernfs_create_file: (parent, name, mode, ops) =>
      add(parent, make.file(name, mode, treeDir(parent).flavour, attributes.text(ops))),
    kernfs_create_bin_file: (parent, name, mode, ops) =>
      add(parent, make.file(name, mode, treeDir(parent).flavour, attributes.binary(ops))),
    kernfs_create_link: (parent, name, target) =>
      add(parent, make.link(name, treeDir(parent).flavour, treeNode(target))),
    kernfs_remove: (given): Atomic => {
      const node = treeNode(given);
      refuseMount(node, 'kernfs_remove');
      detach(node);
    },
    kernfs_drain: (node) => active.drain(treeNode(node)),
    kernfs_remove_by_name: (parent, name) => {
      const node = treeDir(parent).children.get(name);
      if (node === undefined) return false;
      refuseMount(node, 'kernfs_remove_by_name');
      detach(node);
      return true;
    },
    kernfs_rename: (given, name): Atomic => {
      const node = treeNode(given);
      refuseMount(node, 'kernfs_rename');
      const { parent } = node;
      if (parent === null || node.removed) throw new KernelError('ENOENT', 'fs.tree.removed', `${pathOf(node)} was removed`);
      if (name === node.name) return;
      if (name === '' || name.includes('/')) throw new KernelError('EINVAL', 'fs.tree.name', `"${name}" is no file name`);
      if (parent.child(name) !== null) throw new KernelError('EEXIST', 'fs.tree.exists', `${pathOf(parent)}: ${name} exists`);
      parent.children.delete(node.name);
      node.name = name;
      parent.children.set(name, node);
    },
    kernfs_find: (parent, name) => treeDir(parent).child(name),
    kernfs_path: (node) => pathOf(treeNode(node)),
    sysfs_notify: (given): Atomic => {
      const node = treeNode(given);
      if (!(node instanceof FileTreeNode)) throw new Error(`sysfs_notify of ${pathOf(node)}: not an attribute`);
      return attributes.notify(node.content);
    },
    ramfs_write: (path, contents, mode = 0o644) => {
      const { dir, name } = makeDirs(path);
      const old = dir.child(name);
      if (old instanceof DirTreeNode) throw new KernelError('EISDIR', 'fs.ramfs.write', `${pathOf(old)} is a directory`);
      const bytes = typeof contents === 'string' ? encodeText(contents) : contents.slice();
      const node = make.file(name, mode, dir.flavour, memoryContent(bytes, () => { node.mtime = make.now(); }));
      if (old !== null) detach(old);
      return add(dir, node);
    },
    proc_create: (path, mode, show, store) => {
      const { dir, name } = makeDirs(path.startsWith('/') ? path : `/proc/${path}`);
      return add(dir, make.file(name, mode, dir.flavour, procFile(show, store)));
    },
  };
}

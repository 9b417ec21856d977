/** The tree of names: sysfs, procfs, devtmpfs and a memory file system, in one. */
import { KernelError } from '@vdpalab/abi';
import type { DirNode, FileOperations, Node, NodeKind, Process } from './header.ts';

/** Which file system a node belongs to: what users may do to its directory, and how it is listed. */
export type Flavour = 'sysfs' | 'proc' | 'ramfs' | 'devtmpfs';

/** What stands behind a regular file. */
export interface Content {
  readonly ops: FileOperations;
  /** What `stat` says, in bytes. */
  readonly size: () => number;
  /** Refuse an open the permission bits would allow. @throws EACCES */
  readonly checkOpen?: (node: TreeNode, read: boolean, write: boolean) => void;
  /** Cut to nothing: O_TRUNC. */
  readonly truncate?: () => void;
}

/** Names made when somebody looks: `/proc/PID/fd`. */
export interface DynamicChildren {
  readonly list: () => readonly string[];
  readonly get: (name: string) => TreeNode | null;
}

/** What every node has. */
export interface NodeInit {
  readonly name: string;
  readonly mode: number;
  readonly ino: number;
  readonly flavour: Flavour;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds. */
  readonly mtime: number;
}

/** A name in the tree. */
export abstract class TreeNode implements Node {
  abstract readonly kind: NodeKind;
  name: string;
  mode: number;
  readonly ino: number;
  readonly flavour: Flavour;
  uid: number;
  gid: number;
  mtime: number;
  parent: DirTreeNode | null = null;
  /** Taken out of the tree; open files of it live on. */
  removed = false;

  constructor(init: NodeInit) {
    this.name = init.name;
    this.mode = init.mode;
    this.ino = init.ino;
    this.flavour = init.flavour;
    this.uid = init.uid ?? 0;
    this.gid = init.gid ?? 0;
    this.mtime = init.mtime;
  }
}

/** A directory. */
export class DirTreeNode extends TreeNode implements DirNode {
  readonly kind = 'dir';
  /** By name, oldest first. */
  readonly children = new Map<string, TreeNode>();
  dynamic: DynamicChildren | null = null;

  child(name: string): TreeNode | null {
    return this.children.get(name) ?? this.dynamic?.get(name) ?? null;
  }
}

/** A regular file. */
export class FileTreeNode extends TreeNode {
  readonly kind = 'file';
  readonly content: Content;

  constructor(init: NodeInit, content: Content) {
    super(init);
    this.content = content;
  }
}

/** A symbolic link: to a node, to fixed text, or to what depends on the reader. */
export class LinkTreeNode extends TreeNode {
  readonly kind = 'link';
  readonly target: TreeNode | string | ((reader: Process) => string);

  constructor(init: NodeInit, target: LinkTreeNode['target']) {
    super(init);
    this.target = target;
  }

  /** What `readlink` gives. */
  text(reader: Process): string {
    const { target } = this;
    if (typeof target === 'string') return target;
    return typeof target === 'function' ? target(reader) : relativePath(this, target);
  }
}

/** A device node. */
export class DeviceTreeNode extends TreeNode {
  readonly kind: 'chr' | 'blk';
  readonly major: number;
  readonly minor: number;

  constructor(init: NodeInit, kind: 'chr' | 'blk', major: number, minor: number) {
    super(init);
    this.kind = kind;
    this.major = major;
    this.minor = minor;
  }
}

/** The nodes from the node's own root down to it, roots excluded. */
function chain(node: TreeNode): TreeNode[] {
  const out: TreeNode[] = [];
  for (let at: TreeNode | null = node; at?.parent != null; at = at.parent) out.unshift(at);
  return out;
}

/** Absolute path of a node; of a removed one, the path it had. */
export function pathOf(node: TreeNode): string {
  return `/${chain(node).map((n) => n.name).join('/')}`;
}

/**
 * Path of a symbolic link's target, relative to the link: as many `../` as the link is deep below what both share.
 *
 * @see `kernfs_get_target_path` in fs/kernfs/symlink.c (Linux 6.1)
 */
function relativePath(link: TreeNode, target: TreeNode): string {
  const from = chain(link).slice(0, -1);
  const to = chain(target);
  let shared = 0;
  while (shared < from.length && shared < to.length - 1 && from[shared] === to[shared]) shared++;
  return '../'.repeat(from.length - shared) + to.slice(shared).map((n) => n.name).join('/');
}

/** Put a node into a directory. @throws EEXIST when the name is taken; EINVAL when it is no name */
export function attach(parent: DirTreeNode, node: TreeNode): void {
  if (node.name === '' || node.name.includes('/')) {
    throw new KernelError('EINVAL', 'fs.tree.name', `${pathOf(parent)}: "${node.name}" is no file name`);
  }
  if (parent.removed) throw new KernelError('ENOENT', 'fs.tree.removed', `${pathOf(parent)} was removed: cannot add ${node.name}`);
  if (parent.child(node.name) !== null) {
    throw new KernelError('EEXIST', 'fs.tree.exists', `${pathOf(parent)}: ${node.name} exists`);
  }
  node.parent = parent;
  parent.children.set(node.name, node);
}

/** Take a node with everything below it out of the tree; it keeps its name and parent, for path texts. */
export function detach(node: TreeNode): void {
  if (node.parent?.children.get(node.name) === node) node.parent.children.delete(node.name);
  markRemoved(node);
}

function markRemoved(node: TreeNode): void {
  node.removed = true;
  if (node instanceof DirTreeNode) for (const child of node.children.values()) markRemoved(child);
}

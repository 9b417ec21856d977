/** From a path to a node. Mirrors `link_path_walk` and its callers in `fs/namei.c` (Linux 6.1). */
import { NAME_MAX, PATH_MAX, X_OK } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { Process } from './header.ts';
import { checkPermission } from './permission.ts';
import { encodeText } from './text.ts';
import { DirTreeNode, LinkTreeNode, pathOf } from './tree.ts';
import type { TreeNode } from './tree.ts';

/** Symbolic links followed on one path: MAXSYMLINKS. */
const LINKS_MAX = 40;

/** What a path leads to. */
export interface Found {
  /** Directory of the last name. */
  readonly parent: DirTreeNode;
  /** The last name; `.`, `..` or empty (for `/`) when it is no name of its own. */
  readonly name: string;
  /** `null` when the last name does not exist. */
  readonly node: TreeNode | null;
  /** A slash follows the last name: it must be a directory. */
  readonly slash: boolean;
}

/** Whether the last part of the path is a name that can be made or removed. */
export function isOrdinary(found: Found): boolean {
  return found.name !== '' && found.name !== '.' && found.name !== '..';
}

/** Walks paths of one tree. */
export interface Walker {
  /**
   * Walk to the last name, which need not exist.
   *
   * @param follow whether a link as the last name is followed
   * @throws ENOENT ENOTDIR EACCES ELOOP ENAMETOOLONG
   */
  readonly walk: (proc: Process, path: string, follow: boolean) => Found;
  /** Walk to something that exists. @throws ENOENT too; ENOTDIR when a slash follows what is no directory */
  readonly lookup: (proc: Process, path: string, follow: boolean) => TreeNode;
  /** Walk to a directory. */
  readonly lookupDir: (proc: Process, path: string) => DirTreeNode;
}

export function createWalker(root: DirTreeNode): Walker {
  function checkPath(path: string): void {
    if (path === '') throw fail('ENOENT', 'path.empty', 'empty path');
    if (path.length >= PATH_MAX) throw fail('ENAMETOOLONG', 'path.length', `path of ${path.length} characters`);
    if (path.includes('\0')) throw fail('ENOENT', 'path.nul', 'a NUL in a path');
  }

  function walk(proc: Process, path: string, follow: boolean): Found {
    checkPath(path);
    let dir = path.startsWith('/') ? root : lookupDir(proc, proc.cwd.startsWith('/') ? proc.cwd : '/');
    let names = split(path);
    let slash = path.endsWith('/');
    if (names.length === 0) return { parent: root, name: '', node: root, slash: true };
    for (let links = 0; ;) {
      const name = names.shift() as string; // the list is never empty here
      const last = names.length === 0;
      checkPermission(dir, proc, X_OK);
      if (name === '.' || name === '..') {
        const node = name === '.' ? dir : (dir.parent ?? root);
        if (last) return { parent: node.parent ?? root, name, node, slash: true };
        dir = node;
        continue;
      }
      // Every file system has a limit of its own; that of sysfs is the path's.
      if (dir.flavour !== 'sysfs' && encodeText(name).length > NAME_MAX) throw fail('ENAMETOOLONG', 'path.name', `name of ${name.length} characters`);
      const node = dir.child(name);
      if (node instanceof LinkTreeNode && (!last || follow || slash)) {
        if (++links > LINKS_MAX) throw fail('ELOOP', 'path.links', `${path}: more than ${LINKS_MAX} links`);
        const target = node.text(proc);
        checkPath(target);
        if (target.startsWith('/')) dir = root;
        if (last) slash ||= target.endsWith('/');
        names = [...split(target), ...names];
        if (names.length === 0) return { parent: root, name: '', node: root, slash: true };
        continue;
      }
      if (last) return { parent: dir, name, node, slash };
      if (node === null) throw fail('ENOENT', 'path.missing', `${path}: ${pathOf(dir)} has no ${name}`);
      dir = asDir(node);
    }
  }

  function lookup(proc: Process, path: string, follow: boolean): TreeNode {
    const { node, parent, name, slash } = walk(proc, path, follow);
    if (node === null) throw fail('ENOENT', 'path.missing', `${path}: ${pathOf(parent)} has no ${name}`);
    return slash ? asDir(node) : node;
  }

  function lookupDir(proc: Process, path: string): DirTreeNode {
    return asDir(lookup(proc, path, true));
  }

  return { walk, lookup, lookupDir };
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}

function asDir(node: TreeNode): DirTreeNode {
  if (node instanceof DirTreeNode) return node;
  throw fail('ENOTDIR', 'path.not-dir', `${pathOf(node)} is no directory`);
}

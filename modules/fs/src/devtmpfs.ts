/** Device nodes that drivers make. Mirrors `drivers/base/devtmpfs.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { FsSymbols } from './header.ts';
import type { NodeMaker } from './kernfs.ts';
import { attach, detach, DeviceTreeNode, DirTreeNode, pathOf } from './tree.ts';
import type { TreeNode } from './tree.ts';

/** devtmpfs of one kernel. */
export interface Devtmpfs {
  readonly symbols: Pick<FsSymbols, 'devtmpfs_create_node' | 'devtmpfs_delete_node'>;
  /** From now on, what there is does not count as left over. */
  readonly settle: () => void;
  readonly leftovers: () => readonly string[];
}

/** @param makeDirs the directory of a path, made where it is missing, and the last name */
export function createDevtmpfs(
  dev: DirTreeNode, make: NodeMaker, makeDirs: (path: string) => { dir: DirTreeNode; name: string },
): Devtmpfs {
  const nodes = new Set<TreeNode>();
  const absolute = (path: string): string => (path.startsWith('/') ? path : `/dev/${path}`);

  function find(path: string): TreeNode | null {
    let at: TreeNode | null = dev;
    for (const name of absolute(path).split('/').slice(2)) at = at instanceof DirTreeNode ? at.child(name) : null;
    return at;
  }

  return {
    symbols: {
      devtmpfs_create_node: (path, major, minor, mode, kind = 'chr') => {
        const { dir, name } = makeDirs(absolute(path));
        const node = make.device(name, mode, 'devtmpfs', kind, major, minor);
        attach(dir, node);
        nodes.add(node);
        return node;
      },
      devtmpfs_delete_node: (path): Atomic => {
        const node = find(path);
        // A user may have removed or replaced it: only the driver's own node is taken away.
        if (!(node instanceof DeviceTreeNode) || !nodes.delete(node)) {
          for (const gone of nodes) if (gone.removed && pathOf(gone) === absolute(path)) nodes.delete(gone);
          return;
        }
        detach(node);
        for (let dir = node.parent; dir !== null && dir !== dev && dir.children.size === 0; dir = dir.parent) detach(dir);
      },
    },
    settle: () => nodes.clear(),
    leftovers: () => [...nodes].map((node) => `device node ${pathOf(node)}`),
  };
}

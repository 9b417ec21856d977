/** Who is inside an attribute's show or store: `kernfs_get_active` and `kernfs_drain` in `fs/kernfs/dir.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { KernelSymbols, Task } from '@vdpalab/abi';
import type { File } from './header.ts';
import { pathOf } from './tree.ts';
import type { TreeNode } from './tree.ts';

/** Active references of one kernel. */
export interface ActiveNodes {
  /** Use the file's attribute. @throws ENODEV once it is removed */
  readonly using: <T>(file: File, body: () => Promise<T>) => Promise<T>;
  /** Wait for the other tasks that use the node, or one below it. */
  readonly drain: (node: TreeNode) => Promise<void>;
}

/** Make the active references of one kernel. */
export function createActiveNodes(
  k: Pick<KernelSymbols, 'current_task' | 'init_waitqueue_head' | 'wait_event' | 'wake_up'>,
): ActiveNodes {
  const users = new Set<{ readonly node: TreeNode; readonly task: Task }>();
  const left = k.init_waitqueue_head('kernfs');

  function others(node: TreeNode, me: Task): readonly Task[] {
    const within = (at: TreeNode | null): boolean => at !== null && (at === node || within(at.parent));
    return [...users].filter((user) => user.task !== me && within(user.node)).map((user) => user.task);
  }

  return {
    using: async (file, body) => {
      const node = file.node as TreeNode; // attributes are opened by path
      if (node.removed) throw new KernelError('ENODEV', 'fs.attribute.removed', `${file.path} was removed`);
      const user = { node, task: k.current_task() };
      users.add(user);
      try {
        return await body();
      } finally {
        users.delete(user);
        if (node.removed) k.wake_up(left);
      }
    },
    drain: async (node) => {
      const me = k.current_task();
      await k.wait_event(left, () => others(node, me).length === 0, `users of ${pathOf(node)}`, () => others(node, me), 'kernfs_drain');
    },
  };
}

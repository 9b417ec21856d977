/** Who may do what with a node. Mirrors `generic_permission` in `fs/namei.c` (Linux 6.1). */
import { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, R_OK, S_ISVTX, W_OK, X_OK } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { Process } from './header.ts';
import { DirTreeNode, pathOf } from './tree.ts';
import type { TreeNode } from './tree.ts';

/** Whether the process may access the node. @param mask of R_OK, W_OK, X_OK */
export function permits(node: TreeNode, proc: Process, mask: number): boolean {
  const { cred } = proc;
  const shift = cred.uid === node.uid ? 6 : cred.gid === node.gid ? 3 : 0;
  if (((node.mode >> shift) & mask) === mask) return true;
  const isDir = node instanceof DirTreeNode;
  if (cred.caps.has(CAP_DAC_OVERRIDE)) return isDir || (mask & X_OK) === 0 || (node.mode & 0o111) !== 0;
  return cred.caps.has(CAP_DAC_READ_SEARCH) && (isDir ? (mask & W_OK) === 0 : mask === R_OK);
}

/** @throws EACCES when the process may not */
export function checkPermission(node: TreeNode, proc: Process, mask: number): void {
  if (permits(node, proc, mask)) return;
  const wanted = [[R_OK, 'read'], [W_OK, 'write'], [X_OK, 'search']].filter(([bit]) => (mask & (bit as number)) !== 0);
  throw fail('EACCES', 'permission',
    `${pathOf(node)}: mode ${node.mode.toString(8)} owner ${node.uid}, uid ${proc.cred.uid} wants ${wanted.map(([, w]) => w).join('+')}`);
}

/** `may_create`: whether names may be added to the directory. @throws EACCES */
export function checkMayAdd(dir: DirTreeNode, proc: Process): void {
  checkPermission(dir, proc, W_OK | X_OK);
}

/** `may_delete`: write and search, and in a sticky directory ownership. @throws EACCES EPERM */
export function checkMayDelete(dir: DirTreeNode, victim: TreeNode, proc: Process): void {
  checkPermission(dir, proc, W_OK | X_OK);
  const { cred } = proc;
  if ((dir.mode & S_ISVTX) === 0 || cred.uid === victim.uid || cred.uid === dir.uid || cred.caps.has(CAP_FOWNER)) return;
  throw fail('EPERM', 'permission.sticky', `${pathOf(victim)}: owner ${victim.uid} in a sticky directory, uid ${cred.uid}`);
}

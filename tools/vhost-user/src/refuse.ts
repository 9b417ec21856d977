/** Refusals of this package, by their rules. */
import { KernelError, type ErrnoName } from '@vdpalab/abi';

/** What was asked cannot be. @param rule without the package's `vhost_user` in front */
export function refuse(rule: string, text: string, errno: ErrnoName = 'EINVAL'): KernelError {
  return new KernelError(errno, `vhost_user.${rule}`, text);
}

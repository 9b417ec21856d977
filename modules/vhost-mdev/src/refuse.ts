/** How this module refuses. */
import { KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';

/** @throws KernelError of the rule `vhost_mdev.RULE` */
export function refuse(errno: ErrnoName, rule: string, text: string): never {
  throw new KernelError(errno, `vhost_mdev.${rule}`, text);
}

/** Refuse an argument struct that says it is shorter than it is. @throws EINVAL */
export function checkArgsz(argsz: number, min: number, what: string): void {
  if (argsz < min) refuse('EINVAL', 'argsz', `${what}: argsz ${argsz}, at least ${min} bytes`);
}

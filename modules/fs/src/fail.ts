/** Refusals of this module. */
import { KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';

/** @param rule what follows `fs.` in the rule's id */
export function fail(errno: ErrnoName, rule: string, text: string): KernelError {
  return new KernelError(errno, `fs.${rule}`, text);
}

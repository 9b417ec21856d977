/** How this module refuses. */
import { KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';

/** @throws KernelError of the rule `vfio_type1.RULE` */
export function refuse(errno: ErrnoName, rule: string, text: string): never {
  throw new KernelError(errno, `vfio_type1.${rule}`, text);
}

/** Hexadecimal, with 0x. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

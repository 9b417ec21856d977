/** Why a call was refused, and what would have worked. */
export type { KernelError } from '@vdpalab/abi';

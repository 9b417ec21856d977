/** Refusals that name this module, as `NL_SET_ERR_MSG_MOD` does (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';

/**
 * @param message the extended acknowledgement, without the module's name
 */
export function refusal(errno: ErrnoName, rule: string, text: string, message: string): KernelError {
  return new KernelError(errno, rule, text, { extack: `mlx5_core: ${message}` });
}

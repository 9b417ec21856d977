/** What a write to configuration space sets off. Mirrors `drivers/vfio/pci/vfio_pci_config.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Width } from './config.ts';
import type { VfioPci } from './device.ts';
import { intxMask, intxUnmask } from './intx.ts';

/** Write a register. @param at inside, aligned to `size` */
export async function configWritten(v: VfioPci, at: number, size: Width, value: number): Promise<void> {
  const { k } = v;
  await k.down_write(v.memoryLock);
  let event: ReturnType<VfioPci['openConfig']['write']>;
  try {
    event = v.openConfig.write(at, size, value);
    if (event === 'command') {
      v.zap();
      v.unzap();
    } else if (event === 'flr') {
      await resetBecauseAsked(v);
    }
  } finally {
    k.up_write(v.memoryLock);
  }
  if (event === 'command') await emulateIntxDisable(v);
}

/** A user that sets the bit for a reset hears nothing of a failure. */
async function resetBecauseAsked(v: VfioPci): Promise<void> {
  v.zap();
  try {
    await v.k.pci_try_reset_function(v.pdev);
  } catch (error) {
    if (!isKernelError(error)) throw error;
  } finally {
    v.unzap();
  }
}

/** The user's mask of the interrupt pin is kept apart from the kernel's. */
async function emulateIntxDisable(v: VfioPci): Promise<void> {
  const disabled = v.openConfig.intxDisabled;
  if (disabled === v.virqDisabled) return;
  v.virqDisabled = disabled;
  await (disabled ? intxMask(v) : intxUnmask(v));
}

/** Access to a device's configuration and status, under its lock. Mirrors `drivers/vdpa/vdpa.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { SchedSymbols } from '@vdpalab/sched';
import type { VdpaDevice, VdpaSymbols } from './header.ts';

/** What guards a configuration. */
export type Locks = Pick<SchedSymbols, 'down_read' | 'up_read' | 'down_write' | 'up_write'>;

/** Run `body` with the configuration held still. */
export async function reading<T>(k: Locks, vdev: VdpaDevice, body: () => Promise<T>): Promise<T> {
  await k.down_read(vdev.cf_lock);
  try {
    return await body();
  } finally {
    k.up_read(vdev.cf_lock);
  }
}

async function writing<T>(k: Locks, vdev: VdpaDevice, body: () => Promise<T>): Promise<T> {
  await k.down_write(vdev.cf_lock);
  try {
    return await body();
  } finally {
    k.up_write(vdev.cf_lock);
  }
}

/**
 * Read configuration with the lock held.
 *
 * A reader before feature negotiation is taken for a legacy driver, which has no VERSION_1: features are set to 0
 * first, so that the parent knows the byte order. A parent that refuses 0 is read all the same.
 */
export async function getConfigUnlocked(vdev: VdpaDevice, offset: number, len: number): Promise<Uint8Array> {
  if (!vdev.features_valid) {
    try {
      await setFeaturesUnlocked(vdev, 0n);
    } catch (error) {
      if (!isKernelError(error)) throw error;
    }
  }
  return vdev.config.get_config(vdev, offset, len);
}

async function setFeaturesUnlocked(vdev: VdpaDevice, features: bigint): Promise<void> {
  vdev.features_valid = true;
  await vdev.config.set_driver_features(vdev, features);
}

/** `vdpa_set_features` @throws what the parent throws */
export function setFeatures(k: Locks, vdev: VdpaDevice, features: bigint): Promise<void> {
  return writing(k, vdev, () => setFeaturesUnlocked(vdev, features));
}

/** `vdpa_reset` @throws what the parent throws */
export function reset(k: Locks, vdev: VdpaDevice, flags: number): Promise<void> {
  return writing(k, vdev, async () => {
    const { config } = vdev;
    vdev.features_valid = false;
    if (config.compat_reset !== undefined && flags !== 0) await config.compat_reset(vdev, flags);
    else await config.reset(vdev);
  });
}

/** The exported helpers. */
export function configSymbols(k: Locks): Pick<VdpaSymbols,
  'vdpa_get_config' | 'vdpa_set_config' | 'vdpa_set_status' | 'vdpa_set_features' | 'vdpa_reset'> {
  return {
    vdpa_get_config: (vdev, offset, len) => reading(k, vdev, () => getConfigUnlocked(vdev, offset, len)),
    vdpa_set_config: (vdev, offset, bytes) => writing(k, vdev, () => vdev.config.set_config(vdev, offset, bytes)),
    vdpa_set_status: (vdev, status) => writing(k, vdev, () => vdev.config.set_status(vdev, status)),
    vdpa_set_features: (vdev, features) => vdev.set_features(features),
    vdpa_reset: (vdev, flags) => vdev.reset(flags),
  };
}

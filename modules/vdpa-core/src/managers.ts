/** Management devices and the vDPA devices each has made. Mirrors `mdev_head` of `drivers/vdpa/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { VdpaDevice, VdpaMgmtDev } from './header.ts';

/** A handle without a bus name means a manager without a bus, and the other way round. */
function handle(bus: string | null, name: string): string {
  return bus === null ? name : `${bus}/${name}`; // a device's name has no slash: sysfs would not have it
}

/** All managers of one kernel, found by their handle. */
export class Managers {
  /** With what they have on the bus, oldest first. */
  readonly #made = new Map<VdpaMgmtDev, Set<VdpaDevice>>();
  readonly #byHandle = new Map<string, Set<VdpaMgmtDev>>();

  /** Oldest first. */
  items(): IterableIterator<VdpaMgmtDev> {
    return this.#made.keys();
  }

  /** @throws EINVAL without a device, dev_add or dev_del */
  add(mdev: VdpaMgmtDev): Atomic {
    if (!mdev.device || !mdev.ops?.dev_add || !mdev.ops.dev_del) {
      throw new KernelError('EINVAL', 'vdpa.mgmtdev.ops', 'a management device needs a device, dev_add and dev_del');
    }
    this.#made.set(mdev, new Set());
    const key = handle(mdev.device.bus?.name ?? null, mdev.device.name);
    this.#byHandle.set(key, (this.#byHandle.get(key) ?? new Set()).add(mdev));
    return undefined;
  }

  /** @returns what it has made and not deleted, oldest first */
  remove(mdev: VdpaMgmtDev): readonly VdpaDevice[] {
    const made = this.#made.get(mdev);
    if (made === undefined) throw new Error(`management device ${mdev.device.name} is not registered`);
    this.#made.delete(mdev);
    const key = handle(mdev.device.bus?.name ?? null, mdev.device.name);
    const same = this.#byHandle.get(key);
    if (same?.delete(mdev) === true && same.size === 0) this.#byHandle.delete(key);
    return [...made];
  }

  /** The oldest with that handle. */
  find(bus: string | null, name: string): VdpaMgmtDev | null {
    const [oldest] = this.#byHandle.get(handle(bus, name)) ?? [];
    return oldest ?? null;
  }

  /** A device comes to the bus. */
  joined(vdev: VdpaDevice): Atomic {
    if (vdev.mdev !== null) this.#made.get(vdev.mdev)?.add(vdev);
    return undefined;
  }

  /** A device leaves the bus, or did not get there. */
  left(vdev: VdpaDevice): Atomic {
    if (vdev.mdev !== null) this.#made.get(vdev.mdev)?.delete(vdev);
    return undefined;
  }
}

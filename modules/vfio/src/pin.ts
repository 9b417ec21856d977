/** Pinning for drivers that translate themselves, as they call it today and as they did before Linux 6.0. Mirrors `drivers/vfio/vfio_main.c`. */
import { isKernelError } from '@vdpalab/abi';
import type { Device, IommuGroup } from '@vdpalab/driver-core';
import type { Backend } from './container.ts';
import { own, type VfioDeviceState } from './device.ts';
import type { VfioDevice, VfioSymbols } from './header.ts';
import { refuse } from './refuse.ts';
import type { Vfio } from './state.ts';

const PAGE_SIZE = 4096;
/** `VFIO_PIN_PAGES_MAX_ENTRIES`: page pointers in a page. */
const MAX_ENTRIES = 512;

type PinSymbols = Pick<VfioSymbols,
  'vfio_pin_pages' | 'vfio_unpin_pages' | 'vfio_dma_rw' | 'vfio_pin_user_pfns' | 'vfio_unpin_user_pfns' | 'vfio_register_notifier'
  | 'vfio_unregister_notifier'>;

/** The backend of an open device. @throws EINVAL when it is not open */
function backendOf(vdev: VfioDeviceState): { backend: Backend | null; iommuGroup: IommuGroup } {
  const { group } = vdev;
  if (vdev.open_count === 0 && vdev.users < 2) refuse('EINVAL', 'pin.closed', `${vdev.dev.name} is not open`);
  if (group === null || group.iommuGroup === null) return refuse('EINVAL', 'pin.closed', `${vdev.dev.name} is in no group`);
  return { backend: group.container?.backend ?? null, iommuGroup: group.iommuGroup };
}

/** Make the symbols. */
export function createPinning(vfio: Vfio): PinSymbols {
  async function pin(vdev: VfioDeviceState, iova: number, npage: number, prot: number): Promise<readonly number[]> {
    if (npage <= 0) refuse('EINVAL', 'pin.count', `${npage} pages`);
    const { backend, iommuGroup } = backendOf(vdev);
    if (npage > MAX_ENTRIES) refuse('E2BIG', 'pin.entries', `${npage} pages, at most ${MAX_ENTRIES} in one call`);
    const op = backend?.ops.pin_pages;
    if (backend === null || op === undefined) return refuse('ENOTTY', 'pin.backend', `${vdev.dev.name}: ${backend?.ops.name ?? 'no backend'} does not pin`);
    return await op(backend.data, iommuGroup, iova, npage, prot);
  }

  async function unpin(vdev: VfioDeviceState, iova: number, npage: number): Promise<void> {
    const { backend } = backendOf(vdev);
    if (npage <= 0 || npage > MAX_ENTRIES) throw new Error(`vfio_unpin_pages of ${npage} pages`);
    await backend?.ops.unpin_pages?.(backend.data, iova, npage);
  }

  /** @throws EINVAL when the bus device is none of VFIO's */
  function find(dev: Device): VfioDeviceState {
    return [...vfio.devices].find((one) => one.dev === dev && one.group !== null) ?? refuse('EINVAL', 'pin.device', `${dev.name} is not registered with VFIO`);
  }

  return {
    vfio_pin_pages: (vdev: VfioDevice, iova, npage, prot) => pin(own(vdev), iova, npage, prot),
    vfio_unpin_pages: (vdev: VfioDevice, iova, npage) => unpin(own(vdev), iova, npage),
    async vfio_dma_rw(given, iova, bytes, write) {
      const vdev = own(given);
      const { backend } = backendOf(vdev);
      if (bytes.length === 0) refuse('EINVAL', 'pin.count', '0 bytes');
      const op = backend?.ops.dma_rw;
      if (backend === null || op === undefined) return refuse('ENOTTY', 'pin.backend', `${vdev.dev.name}: ${backend?.ops.name ?? 'no backend'} reads no memory`);
      return await op(backend.data, iova, bytes, write);
    },

    async vfio_pin_user_pfns(dev, user_pfn, npage, prot, phys_pfn) {
      const vdev = find(dev);
      if (npage <= 0) refuse('EINVAL', 'pin.count', `${npage} pages`);
      if (npage > MAX_ENTRIES) refuse('E2BIG', 'pin.entries', `${npage} pages, at most ${MAX_ENTRIES} in one call`);
      let pinned = 0;
      try {
        for (; pinned < npage; pinned++) {
          const [pa = 0] = await pin(vdev, (user_pfn[pinned] ?? 0) * PAGE_SIZE, 1, prot);
          phys_pfn[pinned] = pa / PAGE_SIZE;
        }
      } catch (error) {
        for (let i = 0; i < pinned; i++) await unpin(vdev, (user_pfn[i] ?? 0) * PAGE_SIZE, 1);
        phys_pfn.fill(0, 0, pinned);
        throw error;
      }
      return npage;
    },
    async vfio_unpin_user_pfns(dev, user_pfn, npage) {
      const vdev = find(dev);
      if (npage <= 0) refuse('EINVAL', 'pin.count', `${npage} pages`);
      if (npage > MAX_ENTRIES) refuse('E2BIG', 'pin.entries', `${npage} pages, at most ${MAX_ENTRIES} in one call`);
      for (let i = 0; i < npage; i++) {
        try {
          await unpin(vdev, (user_pfn[i] ?? 0) * PAGE_SIZE, 1);
        } catch (error) {
          if (!isKernelError(error)) throw error;
          return i;
        }
      }
      return npage;
    },
    vfio_register_notifier(dev, notifier) {
      const vdev = find(dev);
      if (vdev.notifier !== null) refuse('EBUSY', 'notifier.twice', `${dev.name} has a notifier`);
      const { backend } = backendOf(vdev);
      vdev.notifier = notifier;
      backend?.ops.register_device?.(backend.data, vdev);
    },
    vfio_unregister_notifier(dev, notifier) {
      const vdev = find(dev);
      if (vdev.notifier !== notifier) refuse('EINVAL', 'notifier.none', `${dev.name}: not its notifier`);
      const { backend } = backendOf(vdev);
      vdev.notifier = null;
      backend?.ops.unregister_device?.(backend.data, vdev);
    },
  };
}

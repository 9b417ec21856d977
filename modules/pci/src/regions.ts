/** BARs: reserved, mapped, and given back with the driver. Mirrors `drivers/pci/{pci,devres,iomap}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Mmio } from '@vdpalab/abi';
import { disableDevice, enableDevice } from './enable.ts';
import type { PciFunction } from './function.ts';
import type { PciDev, PciSymbols } from './header.ts';
import { IoWindow } from './iomem.ts';
import { formatResource, IORESOURCE_IO, isAssigned } from './ioresource.ts';
import { freeVectors } from './msix.ts';
import type { Kernel } from './world.ts';

const STD_BARS = 6;

type RegionSymbols = Pick<PciSymbols,
  'pcim_enable_device' | 'pcim_iomap_regions' | 'pcim_iomap_table' | 'pci_request_region' | 'pci_release_region'
  | 'pci_iomap' | 'pci_iomap_range' | 'pci_iounmap' | 'pci_resource_start' | 'pci_resource_len' | 'pci_resource_flags'
  | 'pci_request_selected_regions' | 'pci_release_selected_regions' | 'pci_enable_device' | 'pci_disable_device'>;

/** Make the symbols about BARs. @param own the function behind a handle */
export function createRegions(k: Kernel, own: (pdev: PciDev) => PciFunction): RegionSymbols {
  const { mmio, pci } = k.machine;
  const map = (fn: PciFunction, bar: number, offset = 0, maxlen = Number.MAX_SAFE_INTEGER): IoWindow =>
    mapRange(mmio, pci?.io?.window ?? 0, fn, bar, offset, maxlen);

  function mapManaged(fn: PciFunction, bar: number, name: string): undefined {
    requestRegion(k, fn, bar, name);
    try {
      fn.managedMaps[bar] = map(fn, bar);
    } catch (error) {
      releaseRegion(fn, bar);
      throw error;
    }
  }

  function unmapManaged(fn: PciFunction, bars: readonly number[]): undefined {
    for (const bar of bars.toReversed()) {
      const window = fn.managedMaps[bar] ?? null;
      if (window === null) continue;
      unmap(fn, window);
      fn.managedMaps[bar] = null;
      releaseRegion(fn, bar);
    }
  }

  return {
    pci_enable_device: (pdev) => enableDevice(k, own(pdev)),
    pci_disable_device: (pdev) => disableDevice(k, own(pdev)),
    pcim_enable_device(pdev) {
      const fn = own(pdev);
      enableDevice(k, fn);
      if (fn.managed) return;
      try {
        k.devm_add_action(fn.dev, 'pcim_enable_device', async () => {
          fn.managed = false;
          await freeVectors(k, fn);
          while (fn.enableCnt > 0) disableDevice(k, fn);
        });
      } catch (error) {
        disableDevice(k, fn);
        throw error;
      }
      fn.managed = true;
    },
    pcim_iomap_regions(pdev, mask, name) {
      const fn = own(pdev);
      const done: number[] = [];
      try {
        for (const bar of barsOf(mask)) {
          if (fn.resource[bar]!.size === 0) {
            throw new KernelError('EINVAL', 'pci.iomap.absent', `${fn.name}: no BAR ${bar}`);
          }
          mapManaged(fn, bar, name);
          done.push(bar);
        }
        k.devm_add_action(fn.dev, `pcim_iomap_regions ${name}`, () => unmapManaged(fn, done));
      } catch (error) {
        unmapManaged(fn, done);
        throw error;
      }
    },
    pcim_iomap_table: (pdev) => own(pdev).managedMaps,
    pci_request_region: (pdev, bar, name) => requestRegion(k, own(pdev), bar, name),
    pci_release_region: (pdev, bar) => releaseRegion(own(pdev), bar),
    pci_request_selected_regions(pdev, mask, name) {
      const fn = own(pdev);
      const done: number[] = [];
      try {
        for (const bar of barsOf(mask)) {
          requestRegion(k, fn, bar, name);
          done.push(bar);
        }
      } catch (error) {
        for (const bar of done) releaseRegion(fn, bar);
        throw error;
      }
    },
    pci_release_selected_regions(pdev, mask) {
      for (const bar of barsOf(mask)) releaseRegion(own(pdev), bar);
    },
    pci_iomap: (pdev, bar) => map(own(pdev), bar),
    pci_iomap_range: (pdev, bar, offset, maxlen) => map(own(pdev), bar, offset, maxlen),
    pci_iounmap(pdev, mem) {
      const fn = own(pdev);
      if (!(mem instanceof IoWindow) || !fn.iomaps.has(mem)) throw new Error(`${fn.name}: unmaps a window it has not`);
      unmap(fn, mem);
    },
    pci_resource_start: (pdev, bar) => own(pdev).resource[bar]?.start ?? 0,
    pci_resource_len: (pdev, bar) => own(pdev).resource[bar]?.size ?? 0,
    pci_resource_flags: (pdev, bar) => own(pdev).resource[bar]?.flags ?? 0,
  };
}

/** BARs of a mask. */
function barsOf(mask: number): readonly number[] {
  return Array.from({ length: STD_BARS }, (_, bar) => bar).filter((bar) => (mask & (1 << bar)) !== 0);
}

/** Reserve a BAR; an absent one needs no reservation. @throws EBUSY @see `__pci_request_region` */
function requestRegion(k: Kernel, fn: PciFunction, bar: number, name: string): undefined {
  const res = fn.resource[bar];
  if (res === undefined || res.size === 0) return;
  const holder = fn.regions[bar] ?? null;
  if (holder !== null || !isAssigned(res)) {
    k.dev_warn(fn.dev, `BAR ${bar}: can't reserve ${formatResource(res)}`);
    const why = holder === null ? 'has no address' : `is ${holder}'s`;
    throw new KernelError('EBUSY', 'pci.region.busy', `${fn.name}: BAR ${bar} ${why}`);
  }
  fn.regions[bar] = name;
}

function releaseRegion(fn: PciFunction, bar: number): undefined {
  if (fn.regions[bar] !== undefined) fn.regions[bar] = null;
}

/**
 * @param ports physical address of I/O port 0
 * @throws ENOMEM for a BAR that is absent or has no address, or an offset beyond it, where Linux returns NULL
 */
function mapRange(mmio: Mmio, ports: number, fn: PciFunction, bar: number, offset: number, maxlen: number): IoWindow {
  const res = fn.resource[bar];
  if (res === undefined || !isAssigned(res) || offset >= res.size) {
    throw new KernelError('ENOMEM', 'pci.iomap.unassigned', `${fn.name}: BAR ${bar} is absent, has no address or ends before ${offset}`);
  }
  const start = res.start + offset + ((res.flags & IORESOURCE_IO) !== 0 ? ports : 0);
  const window = new IoWindow(mmio, bar, start, Math.min(maxlen, res.size - offset));
  fn.iomaps.add(window);
  return window;
}

function unmap(fn: PciFunction, window: IoWindow): undefined {
  window.unmap();
  fn.iomaps.delete(window);
}

/** BARs: reserved, mapped, and given back with the driver. Mirrors `drivers/pci/{pci,devres,iomap}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Mmio } from '@vdpalab/abi';
import { disableDevice, enableDevice } from './enable.ts';
import type { PciFunction } from './function.ts';
import type { PciDev, PciSymbols } from './header.ts';
import { IoWindow } from './iomem.ts';
import { formatResource, isAssigned } from './ioresource.ts';
import { freeVectors } from './msix.ts';
import type { Kernel } from './world.ts';

const STD_BARS = 6;

type RegionSymbols = Pick<PciSymbols,
  'pcim_enable_device' | 'pcim_iomap_regions' | 'pcim_iomap_table' | 'pci_request_region' | 'pci_release_region'
  | 'pci_iomap' | 'pci_iounmap' | 'pci_resource_start' | 'pci_resource_len'>;

/** Make the symbols about BARs. @param own the function behind a handle */
export function createRegions(k: Kernel, own: (pdev: PciDev) => PciFunction): RegionSymbols {
  const { mmio } = k.machine;

  function mapManaged(fn: PciFunction, bar: number, name: string): undefined {
    requestRegion(k, fn, bar, name);
    try {
      fn.managedMaps[bar] = map(mmio, fn, bar);
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
    pcim_enable_device(pdev) {
      const fn = own(pdev);
      enableDevice(k, fn);
      if (fn.managed) return;
      try {
        k.devm_add_action(fn.dev, 'pcim_enable_device', async () => {
          fn.managed = false;
          await freeVectors(k, fn);
          while (fn.enableCnt > 0) disableDevice(fn);
        });
      } catch (error) {
        disableDevice(fn);
        throw error;
      }
      fn.managed = true;
    },
    pcim_iomap_regions(pdev, mask, name) {
      const fn = own(pdev);
      const bars = Array.from({ length: STD_BARS }, (_, bar) => bar).filter((bar) => (mask & (1 << bar)) !== 0);
      const done: number[] = [];
      try {
        for (const bar of bars) {
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
    pci_iomap: (pdev, bar) => map(mmio, own(pdev), bar),
    pci_iounmap(pdev, mem) {
      const fn = own(pdev);
      if (!(mem instanceof IoWindow) || !fn.iomaps.has(mem)) throw new Error(`${fn.name}: unmaps a window it has not`);
      unmap(fn, mem);
    },
    pci_resource_start: (pdev, bar) => own(pdev).resource[bar]?.start ?? 0,
    pci_resource_len: (pdev, bar) => own(pdev).resource[bar]?.size ?? 0,
  };
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

/** @throws ENOMEM for a BAR that is absent or has no address, where Linux returns NULL */
function map(mmio: Mmio, fn: PciFunction, bar: number): IoWindow {
  const res = fn.resource[bar];
  if (res === undefined || !isAssigned(res)) {
    throw new KernelError('ENOMEM', 'pci.iomap.unassigned', `${fn.name}: BAR ${bar} is absent or has no address`);
  }
  const window = new IoWindow(mmio, bar, res.start, res.size);
  fn.iomaps.add(window);
  return window;
}

function unmap(fn: PciFunction, window: IoWindow): undefined {
  window.unmap();
  fn.iomaps.delete(window);
}

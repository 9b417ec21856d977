/** Which functions the driver takes, and how. Mirrors `main.c` `probe_one` and `sf/dev/driver.c` (Linux 6.1). */
import type { KModule } from '@vdpalab/abi';
import { UndoStack, withUndo } from '@vdpalab/abi';
import type { AuxiliaryDriver } from '@vdpalab/auxiliary';
import type { PciDeviceId, PciDriver } from '@vdpalab/pci';
import { PCI_VENDOR_ID_MELLANOX } from '@vdpalab/uapi';
import { MLX5_ADEV_NAME } from './adev.ts';
import { CoreDev } from './core-dev.ts';
import type { CoreDevInit, Shared } from './core-dev.ts';
import { devlinkOps } from './devlink.ts';
import type { Mlx5Kernel } from './kernel.ts';
import { initOne, uninitOne } from './main.ts';
import { SF_BAR, sfDevOf } from './sf-dev.ts';

/** BARs 0 and 2. */
const BARS = 0b101;
/** All of a 64-bit mask that a number holds. */
const DMA_BIT_MASK_64 = Number.MAX_SAFE_INTEGER;
/** Entries of the event queues of a function, and of a subfunction: Linux gives the latter as many, and saves elsewhere (`MLX5_SF_PROF`). */
const EQ_SIZE = 1024;
const SF_EQ_SIZE = 64;

/** Physical functions of `mlx5_core_pci_table`: Connect-IB to ConnectX-8. */
export const ids: readonly PciDeviceId[] = [0x1011, 0x1013, 0x1015, 0x1017, 0x1019, 0x101b, 0x101d, 0x101f, 0x1021, 0x1023].map((device) => (
  { vendor: PCI_VENDOR_ID_MELLANOX, device, subvendor: null, subdevice: null, class: 0, class_mask: 0 }));

/** Functions of the auxiliary bus that are subfunctions. */
export const sfIds = [{ name: `${MLX5_ADEV_NAME}.sf` }] as const;

/** Take a function, step by step; `prepare` makes its registers reachable. What fails leaves nothing. */
async function probe(k: Mlx5Kernel, shared: Shared, init: CoreDevInit, prepare: (dev: CoreDev, undo: UndoStack) => void): Promise<CoreDev> {
  const undo = new UndoStack();
  return await withUndo(undo, async () => {
    const dev = new CoreDev(k, shared, init, devlinkOps);
    undo.push('devlink', () => void k.devlink_free(dev.devlink));
    prepare(dev, undo);
    dev.mapIseg();
    undo.push('registers', () => void dev.unmapIseg());
    await initOne(dev);
    undo.push('function', () => uninitOne(dev));
    await k.devlink_register(dev.devlink);
    dev.probed.push('probe', () => undo.run());
    return dev;
  });
}

async function remove(dev: CoreDev): Promise<void> {
  await dev.k.devlink_unregister(dev.devlink);
  await dev.probed.run();
}

/** The driver of PCI functions. */
export function pciDriver(k: Mlx5Kernel, shared: Shared, owner: KModule): PciDriver {
  return {
    name: 'mlx5_core',
    owner,
    id_table: ids,
    async probe(pdev) {
      const adevIdx = shared.adevIdxAlloc();
      const undo = new UndoStack();
      await withUndo(undo, async () => {
        undo.push('index', () => void shared.adevIdxFree(adevIdx));
        const init: CoreDevInit = { device: pdev.dev, pdev, coredev_type: 'MLX5_COREDEV_PF', bar: 0, bar_offset: 0, adevIdx, parent: null, eqSize: EQ_SIZE };
        const dev = await probe(k, shared, init, (_, held) => {
          k.pci_enable_device(pdev);
          held.push('enabled', () => void k.pci_disable_device(pdev));
          k.pci_request_selected_regions(pdev, BARS, 'mlx5_core');
          held.push('BARs', () => void k.pci_release_selected_regions(pdev, BARS));
          k.pci_set_master(pdev);
          held.push('master', () => void k.pci_clear_master(pdev));
          k.dma_set_mask_and_coherent(pdev.dev, DMA_BIT_MASK_64);
        });
        dev.probed.push('index', () => undo.run());
        k.pci_set_drvdata(pdev, dev);
      });
    },
    remove: (pdev) => remove(k.pci_get_drvdata(pdev) as CoreDev), // set by probe
  };
}

/** The driver of subfunctions, `mlx5_core.sf`. */
export function sfDriver(k: Mlx5Kernel, shared: Shared, owner: KModule): AuxiliaryDriver {
  return {
    name: 'sf',
    owner,
    id_table: sfIds,
    async probe(adev) {
      const sf = sfDevOf(adev);
      sf.mdev = await probe(k, shared, {
        device: adev.dev, pdev: sf.parent.pdev, coredev_type: 'MLX5_COREDEV_SF', bar: SF_BAR, bar_offset: sf.barOffset, adevIdx: adev.id, parent: sf.parent, eqSize: SF_EQ_SIZE,
      }, () => undefined);
    },
    async remove(adev) {
      const sf = sfDevOf(adev);
      await remove(sf.mdev!); // set by probe
      sf.mdev = null;
    },
  };
}

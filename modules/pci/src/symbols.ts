/** The exported functions. */
import { KernelError } from '@vdpalab/abi';
import { findCapability, findExtCapability, findNextCapability } from './capability.ts';
import { PCI_VENDOR_ID } from '@vdpalab/uapi';
import { createDrivers } from './driver.ts';
import { setMaster } from './enable.ts';
import { PciFunction } from './function.ts';
import type { PciDev, PciSymbols } from './header.ts';
import { checkAndSetIntx, intxMaskSupported, setIntx } from './intx.ts';
import { allocVectors, freeVectors, irqVector, vectorCount } from './msix.ts';
import { createRegions } from './regions.ts';
import { flr, readState, resetBus, resetLocked, resetScope, restoreState, tryResetFunction } from './reset.ts';
import { disableSriov, enableSriov } from './sriov.ts';
import type { PhysicalFunction } from './sriov.ts';
import type { PciWorld } from './world.ts';

/** Make the module's symbols. */
export function createSymbols(world: PciWorld): PciSymbols {
  const { k, functions } = world;
  return {
    ...createDrivers(world),
    ...createRegions(k, own),
    ...createSriov(world),
    to_pci_dev: (dev) => functions.of(dev),
    pci_devices: () => functions.list(),
    pci_get_drvdata: (pdev) => k.dev_get_drvdata(pdev.dev),
    pci_set_drvdata: (pdev, data) => k.dev_set_drvdata(pdev.dev, data),
    pci_set_master: (pdev) => setMaster(own(pdev), true),
    pci_clear_master: (pdev) => setMaster(own(pdev), false),
    pci_read_config_byte: (pdev, where) => own(pdev).config.read(where, 1),
    pci_read_config_word: (pdev, where) => own(pdev).config.read(where, 2),
    pci_read_config_dword: (pdev, where) => own(pdev).config.read(where, 4),
    pci_write_config_byte: (pdev, where, value) => own(pdev).config.write(where, 1, value),
    pci_write_config_word: (pdev, where, value) => own(pdev).config.write(where, 2, value),
    pci_write_config_dword: (pdev, where, value) => own(pdev).config.write(where, 4, value),
    pci_find_capability: (pdev, cap) => findCapability(own(pdev).config, cap),
    pci_find_next_capability: (pdev, pos, cap) => findNextCapability(own(pdev).config, pos, cap),
    pci_find_ext_capability: (pdev, cap) => findExtCapability(own(pdev).config, cap),
    pci_device_is_present: (pdev) => own(pdev).config.read(PCI_VENDOR_ID, 2) === own(pdev).vendor,
    pci_name: (pdev) => own(pdev).name,
    pci_alloc_irq_vectors: async (pdev, min, max) => allocVectors(k, own(pdev), min, max),
    pci_free_irq_vectors: (pdev) => freeVectors(k, own(pdev)),
    pci_irq_vector: (pdev, nr) => irqVector(own(pdev), nr),
    pci_msix_vec_count: (pdev) => vectorCount(own(pdev)),
    pcie_flr: (pdev) => flr(k, own(pdev)),
    ...createResets(world),
    pci_intx: (pdev, enable) => setIntx(own(pdev), enable),
    pci_intx_mask_supported: (pdev) => intxMaskSupported(own(pdev)),
    pci_check_and_mask_intx: (pdev) => checkAndSetIntx(own(pdev), true),
    pci_check_and_unmask_intx: (pdev) => checkAndSetIntx(own(pdev), false),
    pci_leftovers: () => functions.list().flatMap(leftovers),
  };
}

function createResets({ k, functions }: PciWorld): Pick<PciSymbols,
  'pci_try_reset_function' | '__pci_reset_function_locked' | 'pci_dev_trylock' | 'pci_dev_unlock' | 'pci_save_state' | 'pci_restore_state'
  | 'pci_store_saved_state' | 'pci_load_saved_state' | 'pci_probe_reset_bus' | 'pci_reset_bus'> {
  return {
    pci_try_reset_function: (pdev) => tryResetFunction(k, functions, own(pdev)),
    __pci_reset_function_locked: (pdev) => resetLocked(k, functions, own(pdev)),
    pci_dev_trylock: ({ dev }) => k.mutex_trylock(dev.lock),
    pci_dev_unlock: ({ dev }) => k.device_unlock(dev),
    pci_save_state: (pdev): undefined => {
      own(pdev).savedState = readState(own(pdev));
    },
    async pci_restore_state(pdev) {
      const fn = own(pdev);
      if (fn.savedState === null) return;
      await restoreState(k, fn, fn.savedState);
      fn.savedState = null;
    },
    pci_store_saved_state: (pdev) => own(pdev).savedState,
    pci_load_saved_state: (pdev, state): undefined => {
      own(pdev).savedState = state;
    },
    pci_probe_reset_bus: (pdev) => resetScope(functions, own(pdev)),
    pci_reset_bus: (pdev) => resetBus(k, functions, own(pdev)),
  };
}

function createSriov(world: PciWorld): Pick<PciSymbols,
  'pci_enable_sriov' | 'pci_disable_sriov' | 'pci_num_vf' | 'pci_vfs_assigned' | 'pci_sriov_configure_simple'> {
  return {
    async pci_enable_sriov(pdev, numVfs) {
      const fn = own(pdev);
      if (!isPhysical(fn)) throw new KernelError('ENOSYS', 'pci.sriov.absent', `${fn.name}: no SR-IOV capability`);
      await enableSriov(world, fn, numVfs);
    },
    async pci_disable_sriov(pdev) {
      const fn = own(pdev);
      if (isPhysical(fn)) await disableSriov(world, fn);
    },
    pci_num_vf: (pdev) => own(pdev).sriov?.numVfs ?? 0,
    pci_vfs_assigned: () => 0, // only Xen's passthrough marks VFs as assigned
    async pci_sriov_configure_simple(pdev, numVfs) {
      const fn = own(pdev);
      if (!isPhysical(fn)) throw new KernelError('ENODEV', 'pci.sriov.absent', `${fn.name}: no SR-IOV capability`);
      if (numVfs === 0) await disableSriov(world, fn);
      else await enableSriov(world, fn, numVfs);
      return numVfs;
    },
  };
}

/** The function behind a handle. */
function own(pdev: PciDev): PciFunction {
  if (pdev instanceof PciFunction) return pdev;
  throw new Error('pci: a handle that is not a function of this bus');
}

function isPhysical(fn: PciFunction): fn is PhysicalFunction {
  return fn.sriov !== null;
}

function leftovers(fn: PciFunction): string[] {
  const held: string[] = [];
  fn.regions.forEach((holder, bar) => {
    if (holder !== null) held.push(`${fn.name}: BAR ${bar} reserved by ${holder}`);
  });
  if (fn.iomaps.size > 0) held.push(`${fn.name}: ${fn.iomaps.size} windows mapped`);
  if (fn.msix !== null) held.push(`${fn.name}: ${fn.msix.vectors.length} MSI-X vectors`);
  if (fn.sriov !== null && fn.sriov.numVfs > 0) held.push(`${fn.name}: ${fn.sriov.numVfs} VFs enabled`);
  return held;
}

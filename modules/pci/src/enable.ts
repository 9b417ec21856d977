/** Decoding and bus mastering. Mirrors `drivers/pci/{pci,setup-res,devres}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { PCI_COMMAND, PCI_COMMAND_IO, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY, PCI_COMMAND_SERR, PCI_INTERRUPT_PIN, PCI_SLOT } from '@vdpalab/uapi';
import type { PciFunction } from './function.ts';
import { formatResource, IORESOURCE_IO, IORESOURCE_MEM } from './ioresource.ts';
import type { Kernel } from './world.ts';

/** First interrupt line of the I/O APIC that is PCI's; how lines are shared is not modelled. */
const FIRST_PCI_GSI = 16;

/**
 * Switch a function's decoding on; further calls only count.
 *
 * @throws EINVAL when a BAR has no address
 * @see `pci_enable_device`
 */
export function enableDevice(k: Kernel, fn: PciFunction): undefined {
  if (fn.enableCnt === 0) {
    for (let bridge = fn.pciBus.self; bridge !== null; bridge = bridge.pciBus.self) enableBridge(k, bridge);
    enableResources(k, fn);
    routePin(k, fn);
  }
  fn.enableCnt++;
}

/**
 * What firmware leaves of each function that it finds at boot: decoders that are on, so that drivers have nothing to switch.
 *
 * @see SeaBIOS 1.16, src/fw/pciinit.c `pci_bios_init_device`
 */
export function openDecoders(fn: PciFunction): undefined {
  fn.config.write(PCI_COMMAND, 2, fn.config.read(PCI_COMMAND, 2) | PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR);
}

/** Undo one {@link enableDevice}; the last one ends bus mastering. @see `pci_disable_device` */
export function disableDevice(k: Kernel, fn: PciFunction): undefined {
  if (fn.enableCnt === 0) throw new Error(`${fn.name}: disabled, but not enabled`);
  if (--fn.enableCnt > 0) return;
  setMaster(fn, false);
  unroutePin(k, fn);
}

/** Give a function's interrupt pin a number of its own, where the host can. @see `pcibios_enable_irq` */
function routePin(k: Kernel, fn: PciFunction): undefined {
  const { pci } = k.machine;
  if (pci?.routePin === undefined || fn.is_virtfn || fn.config.read(PCI_INTERRUPT_PIN, 1) === 0) return;
  const { irq, address, data } = k.irq_alloc_msi('IO-APIC', FIRST_PCI_GSI + PCI_SLOT(fn.devfn));
  pci.routePin(fn.bus, fn.devfn, { address, data });
  fn.irq = irq;
}

/** @see `pcibios_disable_irq` */
function unroutePin(k: Kernel, fn: PciFunction): undefined {
  if (fn.irq === 0) return;
  k.machine.pci?.routePin?.(fn.bus, fn.devfn, null);
  k.irq_free_msi(fn.irq);
  fn.irq = 0;
}

/** Let the function start transfers, or not. @see `__pci_set_master` */
export function setMaster(fn: PciFunction, on: boolean): undefined {
  const before = fn.config.read(PCI_COMMAND, 2);
  const after = on ? before | PCI_COMMAND_MASTER : before & ~PCI_COMMAND_MASTER;
  if (after !== before) fn.config.write(PCI_COMMAND, 2, after);
}

/** @see `pci_enable_resources` */
function enableResources(k: Kernel, fn: PciFunction): undefined {
  let wanted = 0;
  fn.resource.forEach((res, bar) => {
    // The ROM is switched on by who reads it.
    const kind = (res.flags & IORESOURCE_IO) !== 0 ? PCI_COMMAND_IO : (res.flags & IORESOURCE_MEM) !== 0 ? PCI_COMMAND_MEMORY : 0;
    if (bar === 6 || res.size === 0 || kind === 0) return;
    if (res.start === 0) {
      k.dev_err(fn.dev, `can't enable device: BAR ${bar} ${formatResource(res)} not assigned`);
      throw new KernelError('EINVAL', 'pci.enable.unassigned', `${fn.name}: BAR ${bar} of ${res.size} bytes has no address`);
    }
    wanted |= kind;
  });
  turnOn(k, fn, wanted);
}

/** @see `pci_enable_bridge` */
function enableBridge(k: Kernel, bridge: PciFunction): undefined {
  turnOn(k, bridge, PCI_COMMAND_MEMORY);
  setMaster(bridge, true);
}

function turnOn(k: Kernel, fn: PciFunction, bits: number): undefined {
  const before = fn.config.read(PCI_COMMAND, 2);
  if ((before & bits) === bits) return;
  k.dev_info(fn.dev, `enabling device (${hex4(before)} -> ${hex4(before | bits)})`);
  fn.config.write(PCI_COMMAND, 2, before | bits);
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

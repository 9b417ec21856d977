/** MSI-X: a table in a BAR, written by MMIO. Mirrors `drivers/pci/msi/{api,msi}.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { DirNode } from '@vdpalab/fs';
import {
  PCI_CAP_ID_MSIX, PCI_MSIX_ENTRY_CTRL_MASKBIT, PCI_MSIX_ENTRY_DATA,
  PCI_MSIX_ENTRY_LOWER_ADDR, PCI_MSIX_ENTRY_SIZE, PCI_MSIX_ENTRY_UPPER_ADDR, PCI_MSIX_ENTRY_VECTOR_CTRL,
  PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, PCI_MSIX_FLAGS_MASKALL, PCI_MSIX_FLAGS_QSIZE, PCI_MSIX_TABLE,
  PCI_MSIX_TABLE_BIR, PCI_MSIX_TABLE_OFFSET,
} from '@vdpalab/uapi';
import { findCapability } from './capability.ts';
import type { PciFunction } from './function.ts';
import { setIntx } from './intx.ts';
import { isAssigned } from './ioresource.ts';
import type { Kernel } from './world.ts';

const TWO_32 = 0x1_0000_0000;

/** One vector: its interrupt number and its message. */
interface Vector {
  readonly irq: number;
  readonly address: number;
  readonly data: number;
}

/** A function whose MSI-X is on. */
export interface MsixState {
  /** Offset of the capability. */
  readonly pos: number;
  /** Physical address of the table. */
  readonly table: number;
  /** Entries of the table. */
  readonly entries: number;
  readonly vectors: readonly Vector[];
  /** `msi_irqs` */
  readonly dir: DirNode | null;
}

/** Vectors a function has. @throws EINVAL without the capability @see `pci_msix_vec_count` */
export function vectorCount(fn: PciFunction): number {
  return (fn.config.read(capability(fn) + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
}

/**
 * Switch MSI-X on with between `min` and `max` vectors.
 *
 * @returns how many
 * @throws ERANGE when `max` is below `min`
 * @throws EINVAL when it is on already, forbidden, absent, or `min` is below 1
 * @throws ENOSPC when there are fewer than `min`
 * @throws ENOMEM when the table's BAR has no address
 * @see `pci_alloc_irq_vectors_affinity`, `__pci_enable_msix_range`, `msix_capability_init`
 */
export function allocVectors(k: Kernel, fn: PciFunction, min: number, max: number): number {
  const refuse = (errno: 'EINVAL' | 'ERANGE' | 'ENOSPC', rule: string, text: string): never => {
    throw new KernelError(errno, `pci.msix.${rule}`, `${fn.name}: ${text}`);
  };
  if (max < min) refuse('ERANGE', 'range', `between ${min} and ${max} vectors`);
  if (fn.msix !== null) refuse('EINVAL', 'twice', 'MSI-X is on already');
  if (min < 1 || fn.noMsi) refuse('EINVAL', 'unsupported', fn.noMsi ? 'MSI is disallowed by msi_bus' : `${min} vectors`);
  const pos = capability(fn);
  const entries = vectorCount(fn);
  if (entries < min) refuse('ENOSPC', 'count', `${entries} vectors, ${min} wanted`);
  const table = tableAddress(fn, pos, entries);

  setControl(fn, pos, PCI_MSIX_FLAGS_MASKALL | PCI_MSIX_FLAGS_ENABLE, 0);
  const vectors: Vector[] = [];
  let dir: DirNode | null = null;
  try {
    maskAll(k, table, entries);
    takeVectors(k, fn, vectors, min, Math.min(max, entries));
    vectors.forEach((vector, i) => writeEntry(k, table, i, vector));
    dir = showVectors(k, fn, vectors);
  } catch (error) {
    maskAll(k, table, entries);
    setControl(fn, pos, 0, PCI_MSIX_FLAGS_MASKALL | PCI_MSIX_FLAGS_ENABLE);
    for (const { irq } of vectors.toReversed()) k.irq_free_msi(irq);
    throw error;
  }
  setIntx(fn, false);
  fn.msix = { pos, table, entries, vectors, dir };
  setControl(fn, pos, 0, PCI_MSIX_FLAGS_MASKALL);
  return vectors.length;
}

/** Switch MSI-X off; nothing when it is. @throws Error (a lab bug) while a vector has a handler */
export async function freeVectors(k: Kernel, fn: PciFunction): Promise<void> {
  const { msix } = fn;
  if (msix === null) return;
  for (const { irq } of msix.vectors.toReversed()) k.irq_free_msi(irq);
  maskAll(k, msix.table, msix.entries);
  setControl(fn, msix.pos, 0, PCI_MSIX_FLAGS_ENABLE);
  setIntx(fn, true);
  if (msix.dir !== null) k.kernfs_remove(msix.dir);
  fn.msix = null;
}

/** Interrupt number of a vector. @throws EINVAL when there is none @see `pci_irq_vector` */
export function irqVector(fn: PciFunction, nr: number): number {
  const vector = fn.msix?.vectors[nr];
  if (vector === undefined) throw new KernelError('EINVAL', 'pci.msix.vector', `${fn.name}: no vector ${nr}`);
  return vector.irq;
}

/** Write everything again after a reset. @see `__pci_restore_msix_state` */
export function restoreMsix(k: Kernel, fn: PciFunction): undefined {
  const { msix } = fn;
  if (msix === null) return;
  setControl(fn, msix.pos, PCI_MSIX_FLAGS_MASKALL | PCI_MSIX_FLAGS_ENABLE, 0);
  maskAll(k, msix.table, msix.entries);
  msix.vectors.forEach((vector, i) => writeEntry(k, msix.table, i, vector));
  setControl(fn, msix.pos, 0, PCI_MSIX_FLAGS_MASKALL);
}

function capability(fn: PciFunction): number {
  const pos = findCapability(fn.config, PCI_CAP_ID_MSIX);
  if (pos === 0) throw new KernelError('EINVAL', 'pci.msix.absent', `${fn.name}: no MSI-X capability`);
  return pos;
}

/** @see `msix_map_region` */
function tableAddress(fn: PciFunction, pos: number, entries: number): number {
  const word = fn.config.read(pos + PCI_MSIX_TABLE, 4);
  const bar = word & PCI_MSIX_TABLE_BIR;
  const offset = (word & PCI_MSIX_TABLE_OFFSET) >>> 0;
  const res = fn.resource[bar];
  if (res === undefined || !isAssigned(res) || offset + entries * PCI_MSIX_ENTRY_SIZE > res.size) {
    throw new KernelError('ENOMEM', 'pci.msix.table', `${fn.name}: its MSI-X table is not in an assigned BAR ${bar}`);
  }
  return res.start + offset;
}

/** Numbers a function has in the chip of all message-signalled interrupts. @see drivers/pci/msi/irqdomain.c `pci_msi_domain_calc_hwirq` */
const HWIRQS = 2 ** 11;

/** As many as there are, at least `min`. */
function takeVectors(k: Kernel, fn: PciFunction, vectors: Vector[], min: number, count: number): undefined {
  while (vectors.length < count) {
    try {
      vectors.push(k.irq_alloc_msi('PCI-MSI', fn.rid * HWIRQS + vectors.length, fn.rid));
    } catch (error) {
      if (isKernelError(error) && error.errno === 'ENOSPC' && vectors.length >= min) return;
      throw error;
    }
  }
}

/** The message first, and unmasked last: no vector fires half-written. Linux unmasks at request_irq. */
function writeEntry(k: Kernel, table: number, i: number, { address, data }: Vector): undefined {
  const { mmio } = k.machine;
  const at = table + i * PCI_MSIX_ENTRY_SIZE;
  mmio.write(at + PCI_MSIX_ENTRY_LOWER_ADDR, 4, address % TWO_32);
  mmio.write(at + PCI_MSIX_ENTRY_UPPER_ADDR, 4, Math.floor(address / TWO_32));
  mmio.write(at + PCI_MSIX_ENTRY_DATA, 4, data);
  mmio.write(at + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
}

function maskAll(k: Kernel, table: number, entries: number): undefined {
  for (let i = 0; i < entries; i++) {
    k.machine.mmio.write(table + i * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
  }
}

function setControl(fn: PciFunction, pos: number, set: number, clear: number): undefined {
  const before = fn.config.read(pos + PCI_MSIX_FLAGS, 2);
  fn.config.write(pos + PCI_MSIX_FLAGS, 2, (before & ~clear) | set);
}

/** `msi_irqs/N`, which read `msix`. */
function showVectors(k: Kernel, fn: PciFunction, vectors: readonly Vector[]): DirNode | null {
  if (fn.dev.sd === null) return null;
  const dir = k.kernfs_create_dir(fn.dev.sd, 'msi_irqs');
  try {
    for (const { irq } of vectors) k.kernfs_create_file(dir, String(irq), 0o444, { show: async () => 'msix\n' });
  } catch (error) {
    k.kernfs_remove(dir);
    throw error;
  }
  return dir;
}

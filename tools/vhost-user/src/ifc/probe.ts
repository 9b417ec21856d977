/** Which functions the driver takes, and with which arguments. @see DPDK drivers/vdpa/ifc/ifcvf_vdpa.c `ifcvf_pci_probe` */
import type { UserProcess } from '@vdpalab/lab';
import { refuse } from '../refuse.ts';

/** Device arguments: `0000:07:00.2,vdpa=1,sw-live-migration=1`. */
export interface IfcArguments {
  readonly bdf: string;
  /** The function is to be a vDPA device; else a virtio driver has it. */
  readonly vdpa: boolean;
  /** The driver logs written pages, instead of the device. */
  readonly swLiveMigration: boolean;
}

const VIRTIO_VENDOR = 0x1af4;
const INTEL = 0x8086;

/** `pci_id_ifcvf_map`: device, subsystem device. All are of vendor 0x1af4, subsystem vendor 0x8086. */
const IDS: readonly (readonly [number, number])[] = [[0x1041, 0x001a], [0x1000, 0x0001], [0x1042, 0x0002], [0x1042, 0x0000], [0x1001, 0x0002]];

/** Whether a text names a PCI function. */
export function isPciAddress(spec: string): boolean {
  return /^([0-9a-f]{4}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7](,|$)/i.test(spec);
}

/** Read device arguments. @throws EINVAL for a key or value that is none */
export function parseArguments(spec: string): IfcArguments {
  const [address = '', ...pairs] = spec.toLowerCase().split(',');
  const values = new Map<string, boolean>();
  for (const pair of pairs) {
    const [, key, value] = /^(vdpa|sw-live-migration)=([01])$/.exec(pair) ?? [];
    if (key === undefined) throw refuse('ifc.argument', `${pair}: not vdpa=0, vdpa=1, sw-live-migration=0 or sw-live-migration=1`);
    values.set(key, value === '1');
  }
  return { bdf: address.length === 7 ? `0000:${address}` : address, vdpa: values.get('vdpa') ?? false, swLiveMigration: values.get('sw-live-migration') ?? false };
}

async function idOf(p: UserProcess, bdf: string, name: string): Promise<number> {
  try {
    return Number((await p.readFile(`/sys/bus/pci/devices/${bdf}/${name}`)).trim());
  } catch {
    throw refuse('ifc.absent', `${bdf}: no such function`, 'ENODEV');
  }
}

async function linkOf(p: UserProcess, path: string): Promise<string | null> {
  try {
    return (await p.readlink(path)).split('/').at(-1) ?? null;
  } catch {
    return null;
  }
}

/**
 * Check a function before it is opened.
 *
 * @returns its IOMMU group and kind
 * @throws ENODEV for another kind of device, or none; EOPNOTSUPP when vfio-pci has not got it, or there is no IOMMU
 */
export async function checkFunction(p: UserProcess, { bdf }: IfcArguments): Promise<{ readonly group: string; readonly type: 'net' | 'blk' }> {
  const [vendor, device, subvendor, subdevice] = [
    await idOf(p, bdf, 'vendor'), await idOf(p, bdf, 'device'), await idOf(p, bdf, 'subsystem_vendor'), await idOf(p, bdf, 'subsystem_device'),
  ];
  if (vendor !== VIRTIO_VENDOR || subvendor !== INTEL || !IDS.some(([d, s]) => d === device && s === subdevice)) {
    const hex = (n: number): string => n.toString(16).padStart(4, '0');
    throw refuse('ifc.ids', `${bdf} is ${hex(vendor)}:${hex(device)}, subsystem ${hex(subvendor)}:${hex(subdevice)}: no IFC VF`, 'ENODEV');
  }
  const group = await linkOf(p, `/sys/bus/pci/devices/${bdf}/iommu_group`);
  if (group === null) throw refuse('ifc.iommu', `${bdf} has no IOMMU group: guests' addresses need a platform IOMMU`, 'EOPNOTSUPP');
  const driver = await linkOf(p, `/sys/bus/pci/devices/${bdf}/driver`);
  if (driver !== 'vfio-pci') throw refuse('ifc.driver', `${bdf} is bound to ${driver ?? 'no driver'}: only vfio-pci gives an interrupt to each queue`, 'EOPNOTSUPP');
  return { group, type: device === 0x1041 || device === 0x1000 ? 'net' : 'blk' };
}

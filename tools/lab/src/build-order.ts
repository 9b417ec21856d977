/** How a kernel's modules were built: in what order, and which ones outside its tree (Linux 6.1). */
import type { ModInfo } from '@vdpalab/abi';

/** What Debian's kernel leaves unset (CONFIG_VDPA and all that needs it, the mdev samples), or Linux 6.1 has not: who wants these on it builds them beside it. */
const DEBIAN_UNSET: readonly string[] = [
  'vdpa', 'vdpa_sim', 'vdpa_sim_net', 'vdpa_sim_blk', 'vduse', 'ifcvf', 'vp_vdpa', 'eni_vdpa', 'vringh', 'vhost_vdpa', 'virtio_vdpa',
  'mlx5_vdpa', 'mtty', 'mdpy', 'mbochs', 'siov_adi', 'vhost_mdev',
];

/** Modules that a release of this name has from outside its tree: `6.1.0-56-amd64` is a kernel of Debian's. */
export function usuallyOutside(release: string): readonly string[] {
  return /^\d+\.\d+\.\d+-\d+-(amd64|arm64)$/.test(release) ? DEBIAN_UNSET : [];
}

/** Whether a module is on a list that names modules or packages, with `-` or `_`. */
export function isListed(list: readonly string[], info: Pick<ModInfo, 'name' | 'package'>): boolean {
  const plain = (name: string): string => name.replaceAll('-', '_');
  return list.some((name) => plain(name) === info.name || plain(name) === plain(info.package));
}

/** Directories and files below `kernel/`, as the Makefiles list them. */
const ORDER: readonly string[] = [
  'arch', 'kernel', 'mm', 'fs', 'crypto', 'block', 'lib',
  'drivers/pci',
  ...['virtio', 'virtio_ring', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_mmio', 'virtio_pci', 'virtio_vdpa'].map((m) => `drivers/virtio/${m}.ko`),
  ...['vdpa.ko', 'vdpa_sim/vdpa_sim.ko', 'vdpa_sim/vdpa_sim_net.ko', 'vdpa_sim', 'vdpa_user', 'ifcvf', 'mlx5', 'virtio_pci', 'alibaba'].map((m) => `drivers/vdpa/${m}`),
  'drivers/char', 'drivers/block', 'drivers/scsi', 'drivers/net',
  ...['vfio.ko', 'vfio_virqfd.ko', 'vfio_iommu_type1.ko', 'pci/vfio-pci-core.ko', 'pci', 'mdev'].map((m) => `drivers/vfio/${m}`),
  ...['vhost_net', 'vhost_scsi', 'vhost_vsock', 'vringh', 'vhost_vdpa', 'vhost', 'vhost_iotlb'].map((m) => `drivers/vhost/${m}.ko`),
  'drivers', 'sound', 'samples', 'net', 'virt',
];

function rank(path: string): number {
  const below = path.replace(/^kernel\//, '');
  const at = ORDER.findIndex((entry) => below === entry || below.startsWith(`${entry}/`));
  return at < 0 ? ORDER.length : at;
}

/** Paths of modules in the order of the build; what the Makefiles do not tell apart stays as it is. */
export function buildOrder(paths: readonly string[]): string[] {
  return [...paths].sort((a, b) => rank(a) - rank(b));
}

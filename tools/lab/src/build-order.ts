/** The order in which a kernel's build comes to its modules: that of the Makefiles, which modules.order keeps (Linux 6.1). */

/** Directories and files below `kernel/`, as the Makefiles list them. */
const ORDER: readonly string[] = [
  'arch', 'kernel', 'mm', 'fs', 'crypto', 'block',
  'drivers/pci',
  ...['virtio', 'virtio_ring', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_mmio', 'virtio_pci', 'virtio_vdpa'].map((m) => `drivers/virtio/${m}.ko`),
  ...['vdpa.ko', 'vdpa_sim/vdpa_sim.ko', 'vdpa_sim/vdpa_sim_net.ko', 'vdpa_sim', 'vdpa_user', 'ifcvf', 'mlx5', 'virtio_pci', 'alibaba'].map((m) => `drivers/vdpa/${m}`),
  'drivers/char', 'drivers/block', 'drivers/scsi', 'drivers/net',
  ...['vfio.ko', 'vfio_virqfd.ko', 'vfio_iommu_type1.ko', 'pci/vfio-pci-core.ko', 'pci', 'mdev'].map((m) => `drivers/vfio/${m}`),
  ...['vhost_net', 'vhost_scsi', 'vhost_vsock', 'vringh', 'vhost_vdpa', 'vhost', 'vhost_iotlb'].map((m) => `drivers/vhost/${m}.ko`),
  'drivers', 'sound', 'samples', 'net', 'virt', 'lib',
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

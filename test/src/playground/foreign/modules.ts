/**
 * Stand-ins for modules of the recorded kernel that this project has not got. They do nothing but need each other: what
 * lsmod, depmod and modprobe make of a tree can then be compared with the recordings. Test data.
 *
 * Each stands aside where the lab has a real module of its name.
 */
import { KernelError } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

/** What a stand-in has: where it lies, whom it needs, and what depmod reads of it. */
interface StandIn {
  /** Below kernel/. */
  readonly path: string;
  /** Modules it needs, or symbols of them as `module:symbol`; in the order of its symbol table. */
  readonly needs?: readonly string[];
  readonly alias?: readonly string[];
  readonly softdep?: readonly string[];
  readonly size?: number;
  /** Built beside the kernel, as the recorded samples were. */
  readonly outOfTree?: boolean;
  readonly version?: string;
  readonly srcversion?: string;
  /** What `.modinfo` says, in its order; absent: a licence. */
  readonly fields?: ModuleFileInfo['fields'];
  /** The errno and log line its init fails with, as on a machine without the hardware. */
  readonly fails?: readonly ['EOPNOTSUPP' | 'ENODEV', string];
}

/** Symbols of modules that are not stand-ins: one that the needing module uses. */
const known: Readonly<Record<string, string>> = {
  virtio_ring: 'vring_del_virtqueue', virtio: 'register_virtio_driver', vdpa: '_vdpa_register_device', vhost: 'vhost_dev_init',
  vhost_iotlb: 'vhost_iotlb_alloc', irqbypass: 'irq_bypass_register_producer', virtio_pci_modern_dev: 'vp_modern_probe',
  virtio_pci_legacy_dev: 'vp_legacy_probe', mdev: 'mdev_register_driver', vfio: 'vfio_register_group_dev',
};

const symbolOf = (module: string): string => known[module] ?? `${module}_for_others`;

/** By module name. */
const standIns: Readonly<Record<string, StandIn>> = {
  kvm: { path: 'arch/x86/kvm/kvm.ko', needs: ['irqbypass'], size: 1146880 },
  kvm_intel: { path: 'arch/x86/kvm/kvm-intel.ko', needs: ['kvm'], fails: ['EOPNOTSUPP', "kvm: no hardware support for 'kvm_intel'"] },
  virtio_pci_legacy_dev: { path: 'drivers/virtio/virtio_pci_legacy_dev.ko' },
  virtio_pci_modern_dev: { path: 'drivers/virtio/virtio_pci_modern_dev.ko', size: 20480 },
  virtio_mmio: { path: 'drivers/virtio/virtio_mmio.ko', needs: ['virtio_ring', 'virtio'] },
  virtio_balloon: { path: 'drivers/virtio/virtio_balloon.ko', needs: ['virtio_ring', 'virtio'] },
  virtio_input: { path: 'drivers/virtio/virtio_input.ko', needs: ['virtio_ring', 'virtio'] },
  virtio_dma_buf: { path: 'drivers/virtio/virtio_dma_buf.ko' },
  virtio_rng: { path: 'drivers/char/hw_random/virtio-rng.ko', needs: ['virtio_ring', 'virtio'] },
  virtio_console: { path: 'drivers/char/virtio_console.ko', needs: ['virtio_ring', 'virtio'] },
  scsi_common: { path: 'drivers/scsi/scsi_common.ko' },
  scsi_mod: { path: 'drivers/scsi/scsi_mod.ko', needs: ['scsi_common'] },
  virtio_scsi: { path: 'drivers/scsi/virtio_scsi.ko', needs: ['virtio_ring', 'virtio', 'scsi_mod', 'scsi_common'] },
  crypto_engine: { path: 'crypto/crypto_engine.ko' },
  virtio_crypto: { path: 'drivers/crypto/virtio/virtio_crypto.ko', needs: ['virtio_ring', 'virtio', 'crypto_engine'] },
  failover: { path: 'net/core/failover.ko' },
  net_failover: { path: 'drivers/net/net_failover.ko', needs: ['failover'], size: 24576 },
  loop: { path: 'drivers/block/loop.ko', alias: ['devname:loop-control', 'char-major-10-237', 'block-major-7-*'], size: 32768 },
  vfio: {
    path: 'drivers/vfio/vfio.ko', alias: ['devname:vfio/vfio', 'char-major-10-196'], softdep: ['post: vfio_iommu_type1 vfio_iommu_spapr_tce'],
    size: 49152, version: '0.3', srcversion: 'F44179E11F19FFF994DDC6A',
    fields: [
      ['softdep', 'post: vfio_iommu_type1 vfio_iommu_spapr_tce'], ['alias', 'devname:vfio/vfio'], ['alias', 'char-major-10-196'],
      ['description', 'VFIO - User Level meta-driver'], ['author', 'Alex Williamson <alex.williamson@redhat.com>'], ['license', 'GPL v2'], ['version', '0.3'],
    ],
  },
  vfio_virqfd: { path: 'drivers/vfio/vfio_virqfd.ko' },
  vfio_iommu_type1: { path: 'drivers/vfio/vfio_iommu_type1.ko', needs: ['vfio'], size: 45056 },
  vfio_pci_core: { path: 'drivers/vfio/pci/vfio-pci-core.ko', needs: ['vfio', 'vfio_virqfd', 'irqbypass'], size: 73728 },
  vfio_pci: { path: 'drivers/vfio/pci/vfio-pci.ko', needs: ['vfio_pci_core', 'vfio'], alias: ['vfio_pci:v*d*sv*sd*bc*sc*i*'] },
  mdev: { path: 'drivers/vfio/mdev/mdev.ko', size: 20480, version: '0.1' },
  tun: { path: 'drivers/net/tun.ko', alias: ['devname:net/tun', 'char-major-10-200'] },
  tap: { path: 'drivers/net/tap.ko' },
  vhost_net: { path: 'drivers/vhost/vhost_net.ko', needs: ['vhost', 'vhost_iotlb', 'tun', 'tap'], alias: ['devname:vhost-net', 'char-major-10-238'] },
  configfs: { path: 'fs/configfs/configfs.ko' },
  crct10dif_common: { path: 'crypto/crct10dif_common.ko' },
  crc_t10dif: { path: 'lib/crc-t10dif.ko', needs: ['crct10dif_common'], softdep: ['pre: crct10dif'] },
  target_core_mod: { path: 'drivers/target/target_core_mod.ko', needs: ['scsi_common', 'configfs', 'crc_t10dif'] },
  vhost_scsi: { path: 'drivers/vhost/vhost_scsi.ko', needs: ['vhost', 'target_core_mod'], alias: ['tcm_vhost'] },
  vsock: { path: 'net/vmw_vsock/vsock.ko' },
  vmw_vsock_virtio_transport_common: { path: 'net/vmw_vsock/vmw_vsock_virtio_transport_common.ko', needs: ['vsock'] },
  vhost_vsock: {
    path: 'drivers/vhost/vhost_vsock.ko', needs: ['vhost', 'vmw_vsock_virtio_transport_common', 'vsock'], alias: ['devname:vhost-vsock', 'char-major-10-241'],
  },
  eni_vdpa: {
    path: 'drivers/vdpa/alibaba/eni_vdpa.ko', needs: ['vdpa', 'virtio_pci_legacy_dev'], outOfTree: true,
    fields: [['license', 'GPL v2'], ['description', 'Alibaba ENI vDPA driver'], ['author', 'Wu Zongyong <wuzongyong@linux.alibaba.com>']],
  },
  ext4: {
    path: 'fs/ext4/ext4.ko', needs: ['jbd2', 'mbcache', 'crc16'], softdep: ['pre: crypto-crc32c'], alias: ['fs-ext4', 'ext3', 'fs-ext3', 'ext2', 'fs-ext2'],
    fields: [
      ['softdep', 'pre: crypto-crc32c'], ['license', 'GPL'], ['description', 'Fourth Extended Filesystem'],
      ['author', "Remy Card, Stephen Tweedie, Andrew Morton, Andreas Dilger, Theodore Ts'o and others"],
      ['alias', 'fs-ext4'], ['alias', 'ext3'], ['alias', 'fs-ext3'], ['alias', 'ext2'], ['alias', 'fs-ext2'],
    ],
  },
  jbd2: { path: 'fs/jbd2/jbd2.ko', softdep: ['pre: crypto-crc32c'] },
  mbcache: { path: 'fs/mbcache.ko' },
  crc16: { path: 'lib/crc16.ko' },
  mdpy: { path: 'samples/vfio-mdev/mdpy.ko', needs: ['mdev', 'vfio'], outOfTree: true },
  mtty: {
    path: 'samples/vfio-mdev/mtty.ko', needs: ['mdev', 'vfio'], outOfTree: true, size: 24576, version: '0.1', srcversion: '43B83662CF2A38CCDEE7D52',
    fields: [['author', 'NVIDIA Corporation'], ['version', '0.1'], ['supported', 'Test driver that simulate serial port over PCI'], ['license', 'GPL v2']],
  },
  mbochs: { path: 'samples/vfio-mdev/mbochs.ko', needs: ['mdev', 'vfio'], outOfTree: true },
};

/** A symbol for whom needs it, and the stand-in itself. */
export const modules: readonly { readonly module: unknown; readonly modinfo: ModuleFileInfo }[] = Object.entries(standIns).map(([name, s]) => ({
  modinfo: {
    path: `kernel/${s.path}`, standIn: true,
    ...(s.size === undefined ? {} : { size: s.size }),
    ...(s.fields === undefined ? {} : { fields: s.fields }),
    ...(s.srcversion === undefined ? {} : { srcversion: s.srcversion }),
    ...(s.outOfTree === true ? { intree: false, signed: false } : {}),
  },
  module: {
    name,
    license: 'GPL',
    version: s.version,
    alias: s.alias,
    softdep: s.softdep,
    imports: [...(s.needs ?? []).map(symbolOf), ...(s.fails === undefined ? [] : ['_printk'])],
    exportsGpl: [symbolOf(name)],
    module_init(k: Readonly<Record<string, unknown>>) {
      if (s.fails !== undefined) {
        const [errno, line] = s.fails;
        (k['_printk'] as (level: number, text: string) => undefined)(3, line); // imported just above
        throw new KernelError(errno, 'stand-in.init', `${name}: a stand-in finds no hardware`);
      }
      return { ksymtab: { [symbolOf(name)]: () => undefined } };
    },
  },
}));

/**
 * Which installed header each file here mirrors, and what those headers do not have.
 *
 * Read by libc-dev.test.ts alone: everything that a file in `MIRRORS` exports must have the header's
 * value, and what is not in the header must be listed here with the reason.
 */
import * as audit from './audit.ts';
import * as bit from './bit.ts';
import * as capability from './capability.ts';
import * as devlink from './devlink.ts';
import * as errno from './errno.ts';
import * as ethtoolNetlink from './ethtool_netlink.ts';
import * as eventfd from './eventfd.ts';
import * as fcntl from './fcntl.ts';
import * as filter from './filter.ts';
import * as fs from './fs.ts';
import * as fuse from './fuse.ts';
import * as genetlink from './genetlink.ts';
import * as if_ from './if.ts';
import * as if_arp from './if_arp.ts';
import * as if_ether from './if_ether.ts';
import * as if_link from './if_link.ts';
import * as if_packet from './if_packet.ts';
import * as interrupt from './interrupt.ts';
import * as ioctl from './ioctl.ts';
import * as iommu from './iommu.ts';
import * as limits from './limits.ts';
import * as mdev from './mdev.ts';
import * as mlx5 from './mlx5/index.ts';
import * as mman from './mman.ts';
import * as netlink from './netlink.ts';
import * as nla from './nla.ts';
import * as pcap from './pcap.ts';
import * as pci from './pci.ts';
import * as pci_alias from './pci-alias.ts';
import * as pci_caps from './pci_caps.ts';
import * as pci_ext_caps from './pci_ext_caps.ts';
import * as pci_ids from './pci_ids.ts';
import * as pci_regs from './pci_regs.ts';
import * as poll from './poll.ts';
import * as resource from './resource.ts';
import * as rtnetlink from './rtnetlink.ts';
import * as seccomp from './seccomp.ts';
import * as serial_reg from './serial_reg.ts';
import * as signal from './signal.ts';
import * as socket from './socket.ts';
import * as stat from './stat.ts';
import * as strerror from './strerror.ts';
import * as struct from './struct.ts';
import * as syslog from './syslog.ts';
import * as uaccess from './uaccess.ts';
import * as unistd from './unistd.ts';
import * as unistd_64 from './unistd_64.ts';
import * as vdpa from './vdpa.ts';
import * as vduse from './vduse.ts';
import * as vfio from './vfio.ts';
import * as vfio_cdev from './vfio_cdev.ts';
import * as vfio_gfx from './vfio_gfx.ts';
import * as vfio_migration from './vfio_migration.ts';
import * as vfio_type1 from './vfio_type1.ts';
import * as vhost from './vhost.ts';
import * as vhost_iotlb from './vhost_iotlb.ts';
import * as vhost_types from './vhost_types.ts';
import * as virtio_blk from './virtio_blk.ts';
import * as virtio_config from './virtio_config.ts';
import * as virtio_ids from './virtio_ids.ts';
import * as virtio_net from './virtio_net.ts';
import * as virtio_pci from './virtio_pci.ts';
import * as virtio_ring from './virtio_ring.ts';

/** The headers' version, major and minor: what LINUX_VERSION_CODE must say. */
export const HEADER_VERSION = '6.1';

/** A file here: what it exports and what a C program includes to see the same. */
export interface Mirror {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly includes: readonly string[];
}

const linux = (exports: Mirror['exports'], ...headers: readonly string[]): Mirror => ({
  exports,
  includes: headers.map((header) => `linux/${header}.h`),
});

/** By file name without `.ts`. */
export const MIRRORS: Readonly<Record<string, Mirror>> = {
  audit: linux(audit, 'audit'),
  capability: linux(capability, 'capability'),
  devlink: linux(devlink, 'devlink'),
  errno: linux(errno, 'errno'),
  ethtool_netlink: linux(ethtoolNetlink, 'ethtool_netlink'),
  eventfd: { exports: eventfd, includes: ['sys/eventfd.h'] },
  fcntl: linux(fcntl, 'fcntl'),
  filter: linux(filter, 'filter'),
  fs: linux(fs, 'fs'),
  fuse: linux(fuse, 'fuse'),
  genetlink: linux(genetlink, 'genetlink'),
  if: linux(if_, 'if'),
  if_arp: { exports: if_arp, includes: ['sys/socket.h', 'linux/if_arp.h'] },
  if_ether: linux(if_ether, 'if_ether'),
  if_link: linux(if_link, 'if_link'),
  if_packet: { exports: if_packet, includes: ['sys/socket.h', 'linux/if_packet.h'] },
  ioctl: linux(ioctl, 'ioctl'),
  limits: linux(limits, 'limits', 'uio'),
  mman: linux(mman, 'mman', 'memfd'),
  netlink: { exports: netlink, includes: ['sys/socket.h', 'linux/netlink.h'] },
  pci: linux(pci, 'pci'),
  pci_caps: linux(pci_caps, 'pci_regs'),
  pci_ext_caps: linux(pci_ext_caps, 'pci_regs'),
  pci_regs: linux(pci_regs, 'pci_regs'),
  poll: linux(poll, 'fcntl', 'poll', 'eventpoll'),
  resource: linux(resource, 'resource'),
  rtnetlink: linux(rtnetlink, 'rtnetlink'),
  seccomp: linux(seccomp, 'ioctl', 'seccomp'),
  serial_reg: linux(serial_reg, 'serial_reg'),
  syslog: { exports: syslog, includes: ['sys/syslog.h'] },
  signal: { exports: signal, includes: ['signal.h', 'sys/wait.h'] },
  socket: { exports: socket, includes: ['sys/socket.h'] },
  stat: linux(stat, 'stat'),
  unistd: { exports: unistd, includes: ['unistd.h'] },
  unistd_64: { exports: unistd_64, includes: ['asm/unistd_64.h'] },
  vdpa: linux(vdpa, 'vdpa'),
  vduse: linux(vduse, 'ioctl', 'vduse'),
  vfio: linux(vfio, 'vfio'),
  vfio_gfx: linux(vfio_gfx, 'vfio'),
  vfio_migration: linux(vfio_migration, 'vfio'),
  vfio_type1: linux(vfio_type1, 'vfio'),
  vhost: linux(vhost, 'vhost'),
  vhost_types: linux(vhost_types, 'vhost_types'),
  virtio_blk: linux(virtio_blk, 'virtio_blk'),
  virtio_config: linux(virtio_config, 'virtio_config'),
  virtio_ids: linux(virtio_ids, 'virtio_ids'),
  virtio_net: linux(virtio_net, 'virtio_net'),
  virtio_pci: linux(virtio_pci, 'virtio_pci'),
  virtio_ring: linux(virtio_ring, 'virtio_ring'),
};

/** Files that mirror no installed header, with the reason. */
export const OWN: readonly { readonly exports: Mirror['exports']; readonly reason: string }[] = [
  { exports: bit, reason: 'vdpalab' },
  { exports: strerror, reason: 'glibc: compared with the C library itself' },
  { exports: struct, reason: 'vdpalab' },
  { exports: pcap, reason: 'a file format' },
  { exports: nla, reason: 'vdpalab: the attribute codec' },
  { exports: pci_alias, reason: 'vdpalab: module aliases' },
  { exports: pci_ids, reason: 'kernel-internal: include/linux/pci_ids.h' },
  { exports: vhost_iotlb, reason: 'kernel-internal: include/linux/vhost_iotlb.h' },
  { exports: uaccess, reason: 'kernel-internal: include/linux/uaccess.h' },
  { exports: iommu, reason: 'kernel-internal: include/linux/iommu.h' },
  { exports: interrupt, reason: 'kernel-internal: include/linux/interrupt.h' },
  { exports: mdev, reason: 'kernel-internal, an RFC of 2019: include/linux/{mdev,virtio_mdev_ops}.h' },
  { exports: mlx5, reason: 'kernel-internal: include/linux/mlx5' },
  { exports: vfio_cdev, reason: 'later Linux: linux/vfio.h' },
];

/** Constants and structs in `MIRRORS` that the 6.1 headers do not have, by reason. */
export const ABSENT: Readonly<Record<string, readonly string[]>> = {
  'kernel-internal: include/linux/errno.h': [
    'ERESTARTSYS', 'ERESTARTNOINTR', 'ERESTARTNOHAND', 'ENOIOCTLCMD', 'ERESTART_RESTARTBLOCK', 'EPROBE_DEFER',
    'EOPENSTALE', 'ENOPARAM', 'EBADHANDLE', 'ENOTSYNC', 'EBADCOOKIE', 'ENOTSUPP', 'ETOOSMALL', 'ESERVERFAULT',
    'EBADTYPE', 'EJUKEBOX', 'EIOCBQUEUED', 'ERECALLCONFLICT', 'ENOGRACE',
  ],
  'kernel-internal: include/linux/stat.h': ['S_IRWXUGO', 'S_IALLUGO', 'S_IRUGO', 'S_IWUGO', 'S_IXUGO'],
  'later Linux, and kernel-internal: include/linux/vdpa.h': ['VDPA_RESET_F_CLEAN_MAP'],
  'vdpalab: the limit that eventfd(2) states': ['EVENTFD_COUNT_MAX'],
  'later Linux: linux/virtio_config.h': [
    'VIRTIO_F_NOTIFICATION_DATA', 'VIRTIO_F_NOTIF_CONFIG_DATA', 'VIRTIO_F_ADMIN_VQ',
  ],
  'later Linux: linux/virtio_net.h': [
    'VIRTIO_NET_F_DEVICE_STATS', 'VIRTIO_NET_F_VQ_NOTF_COAL', 'VIRTIO_NET_F_GUEST_USO4', 'VIRTIO_NET_F_GUEST_USO6',
    'VIRTIO_NET_F_HOST_USO', 'VIRTIO_NET_F_GUEST_HDRLEN', 'VIRTIO_NET_HDR_GSO_UDP_L4',
    'VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET', 'VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET', 'VIRTIO_NET_CTRL_STATS',
    'VIRTIO_NET_CTRL_STATS_QUERY', 'VIRTIO_NET_CTRL_STATS_GET',
  ],
  'later Linux: linux/virtio_pci.h': ['VIRTIO_PCI_COMMON_ADM_Q_IDX', 'VIRTIO_PCI_COMMON_ADM_Q_NUM'],
  'later Linux: linux/vhost_types.h': [
    'VHOST_BACKEND_F_RESUME', 'VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK', 'VHOST_BACKEND_F_DESC_ASID',
    'VHOST_BACKEND_F_IOTLB_PERSIST', 'vhost_worker_state', 'vhost_vring_worker', 'vhost_features_array',
  ],
  'later Linux: linux/vhost.h': [
    'VHOST_NEW_WORKER', 'VHOST_FREE_WORKER', 'VHOST_ATTACH_VRING_WORKER', 'VHOST_GET_VRING_WORKER',
    'VHOST_VDPA_RESUME', 'VHOST_VDPA_GET_VRING_DESC_GROUP', 'VHOST_VDPA_GET_VRING_SIZE',
    'VHOST_GET_FEATURES_ARRAY', 'VHOST_SET_FEATURES_ARRAY', 'VHOST_SET_FORK_FROM_OWNER',
    'VHOST_GET_FORK_FROM_OWNER', 'VHOST_FORK_OWNER_KTHREAD', 'VHOST_FORK_OWNER_TASK',
  ],
  'later Linux: linux/vdpa.h': [
    'VDPA_CMD_DEV_ATTR_SET', 'VDPA_ATTR_DEV_BLK_CFG_CAPACITY', 'VDPA_ATTR_DEV_BLK_CFG_SIZE_MAX',
    'VDPA_ATTR_DEV_BLK_CFG_BLK_SIZE', 'VDPA_ATTR_DEV_BLK_CFG_SEG_MAX', 'VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES',
    'VDPA_ATTR_DEV_BLK_CFG_PHY_BLK_EXP', 'VDPA_ATTR_DEV_BLK_CFG_ALIGN_OFFSET',
    'VDPA_ATTR_DEV_BLK_CFG_MIN_IO_SIZE', 'VDPA_ATTR_DEV_BLK_CFG_OPT_IO_SIZE',
    'VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEC', 'VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEG',
    'VDPA_ATTR_DEV_BLK_CFG_DISCARD_SEC_ALIGN', 'VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEC',
    'VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEG', 'VDPA_ATTR_DEV_BLK_READ_ONLY', 'VDPA_ATTR_DEV_BLK_FLUSH',
  ],
  'later Linux: linux/vfio.h': [
    'VFIO_MIGRATION_PRE_COPY', 'VFIO_DEVICE_STATE_PRE_COPY', 'VFIO_DEVICE_STATE_PRE_COPY_P2P',
    'VFIO_DEVICE_STATE_NR', 'VFIO_MIG_GET_PRECOPY_INFO', 'VFIO_DEVICE_FEATURE_MIG_DATA_SIZE',
    'VFIO_DEVICE_FEATURE_BUS_MASTER', 'VFIO_DEVICE_FEATURE_CLEAR_MASTER', 'VFIO_DEVICE_FEATURE_SET_MASTER',
    'vfio_precopy_info', 'vfio_device_feature_mig_data_size', 'vfio_device_feature_bus_master',
  ],
};

/** `unsigned long` masks in C that are masks of one 32-bit register here. */
export const REGISTER_MASKS: readonly string[] = [
  'PCI_BASE_ADDRESS_MEM_MASK', 'PCI_BASE_ADDRESS_IO_MASK', 'PCI_IO_RANGE_MASK', 'PCI_IO_1K_RANGE_MASK',
  'PCI_MEMORY_RANGE_MASK', 'PCI_PREF_RANGE_MASK',
];

/** Members of anonymous unions, as `struct.member`: here they are as long as the union. */
export const UNION_MEMBERS: readonly string[] = ['vhost_msg.iotlb', 'vhost_msg_v2.iotlb'];

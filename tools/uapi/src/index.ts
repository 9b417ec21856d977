/**
 * Constants and struct layouts of the Linux user-space interface, by Linux path.
 *
 * @packageDocumentation
 */
export * from './bit.ts';
export * from './capability.ts';
export * from './devlink.ts';
export * from './errno.ts';
export * from './eventfd.ts';
export * from './fcntl.ts';
export * from './fs.ts';
export * from './fuse.ts';
export * from './genetlink.ts';
export * from './if.ts';
export * from './if_arp.ts';
export * from './if_ether.ts';
export * from './if_link.ts';
export * from './if_packet.ts';
export * from './interrupt.ts';
export * from './ioctl.ts';
export * from './iommu.ts';
export * from './limits.ts';
export * from './mman.ts';
export * from './netlink.ts';
export * from './nla.ts';
export * from './pcap.ts';
export * from './pci-alias.ts';
export * from './pci.ts';
export * from './pci_caps.ts';
export * from './pci_ext_caps.ts';
export * from './pci_ids.ts';
export * from './pci_regs.ts';
export * from './poll.ts';
export * from './resource.ts';
export * from './rtnetlink.ts';
export * from './signal.ts';
export * from './socket.ts';
export * from './stat.ts';
export * from './strerror.ts';
export * from './struct.ts';
export * from './uaccess.ts';
export * from './unistd.ts';
export * from './vdpa.ts';
export * from './vduse.ts';
export * from './vfio.ts';
export * from './vfio_cdev.ts';
export * from './vfio_migration.ts';
export * from './vfio_type1.ts';
export * from './vhost.ts';
export * from './vhost_iotlb.ts';
export * from './vhost_types.ts';
export * from './virtio_blk.ts';
export * from './virtio_config.ts';
export * from './virtio_ids.ts';
export * from './virtio_net.ts';
export * from './virtio_pci.ts';
export * from './virtio_ring.ts';

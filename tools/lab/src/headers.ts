/** Brings the headers of all modules into this program, so that every symbol has its type here. */
export type {} from '@vdpalab/driver-core';
export type {} from '@vdpalab/fs';
export type {} from '@vdpalab/iommu';
export type {} from '@vdpalab/irq';
export type {} from '@vdpalab/irqbypass';
export type {} from '@vdpalab/mm';
export type {} from '@vdpalab/block';
export type {} from '@vdpalab/netdev';
export type {} from '@vdpalab/netlink';
export type {} from '@vdpalab/pci';
export type {} from '@vdpalab/sched';
export type {} from '@vdpalab/vdpa-core';
export type {} from '@vdpalab/vhost';
export type {} from '@vdpalab/vhost-iotlb';
export type {} from '@vdpalab/virtio';
export type {} from '@vdpalab/virtio-ring';

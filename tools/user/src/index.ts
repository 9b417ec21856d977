/** User space inside the lab: a vhost-vdpa client, virtio drivers in a process, a VDUSE disk, generic netlink and the `vdpa` tool. */
export * from './genl.ts';
export * from './netlink-socket.ts';
export * from './scratch.ts';
export * from './vdpa.ts';
export * from './vhosttest/vhosttest.ts';
export * from './user-queue.ts';
export * from './vduse-disk.ts';
export * from './vduse-file.ts';
export * from './vfio.ts';
export * from './vfio-dirty.ts';
export * from './vfio-session.ts';
export * from './vfio-virtio.ts';
export * from './vhost-vdpa.ts';
export * from './virtio-device.ts';
export * from './virtio-user-blk.ts';
export * from './virtio-user-net.ts';

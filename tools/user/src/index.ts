/** User space inside the lab: a vhost-vdpa client and a virtio network driver in a process. */
export * from './scratch.ts';
export * from './vhost-vdpa.ts';
export * from './virtio-user-net.ts';

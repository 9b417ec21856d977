/** `linux/mdev.h` and `linux/virtio_mdev_ops.h` as an RFC of 2019 had them: kinds of mediated devices. Kernel-internal, and never merged. */

// Which bus drivers may take a mediated device.
export const MDEV_CLASS_ID_VFIO = 1;
export const MDEV_CLASS_ID_VIRTIO = 2;
export const MDEV_CLASS_ID_VHOST = 3;

// virtio_mdev_device_ops.get_mdev_features: the operations of version 1.
export const VIRTIO_MDEV_F_VERSION_1 = 1n;

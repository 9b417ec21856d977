/** A plain virtio function is a vDPA parent like any other; a station on its switch brings every frame back. */
import { mirrorMachine } from '@vdpalab/machine';
import type {} from '@vdpalab/fs';
import { describeVdpaParent, echo } from '@vdpalab/testing';
import {
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
} from '@vdpalab/uapi';

const features = [
  VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET,
  VIRTIO_F_ACCESS_PLATFORM,
].reduce((all, bit) => all | (1n << BigInt(bit)), 0n);

describeVdpaParent({
  name: 'vp_vdpa', builtins: ['pci'], modules: ['virtio-pci-modern-dev', 'vp-vdpa'], handle: 'pci/0000:07:00.0',
  machine: (seed) => mirrorMachine(seed, {
    at: '07:00.0', model: 'virtio-net', queue_pairs: 1, queue_size: 256, mtu: 1500, mac: '52:54:00:00:00:10', link: 'sw0', page_per_vq: true,
  }),
  prepare: ({ k, user }) => user(async (proc) => {
    await echo(k, proc, '/sys/bus/pci/devices/0000:07:00.0/driver_override', 'vp-vdpa');
    await echo(k, proc, '/sys/bus/pci/drivers_probe', '0000:07:00.0');
  }),
  offers: {
    device_id: 1, vendor_id: 0x1af4, nvqs: 3, ngroups: 1, nas: 1, features, num_max: 256, num_min: 1, config_size: 4096,
    optional: ['get_vq_irq', 'get_vq_notification', 'get_generation'], vq_state: 'EOPNOTSUPP', config_writable: false,
  },
});

/** Devices of assignable interfaces are vDPA devices like any other, of one interface and of two; a station on their switch brings every frame back. */
import { mirrorMachine } from '@vdpalab/machine';
import { describeVdpaParent } from '@vdpalab/testing';

const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
const NET = 0x3_3001_8028n;
const CONTROL = 0xc2_0000n; // CTRL_VQ, MQ, CTRL_MAC_ADDR

for (const [type, nvqs, features] of [['net', 2, NET], ['vdev2', 5, NET | CONTROL]] as const) {
  describeVdpaParent({
    name: `siov_adi-${type}`, builtins: ['pci'], modules: ['mdev-core', 'siov-adi'],
    handle: {
      create: { file: `/sys/class/mdev_bus/0000:07:00.0/mdev_supported_types/siov_adi-${type}/create`, text: UUID },
      remove: { file: `/sys/bus/mdev/devices/${UUID}/remove`, text: '1' },
    },
    machine: (seed) => mirrorMachine(seed, { at: '07:00.0', model: 'siov', adis: 2, queue_size: 256, mtu: 1500, link: 'sw0' }),
    offers: {
      device_id: 1, vendor_id: 0x8086, nvqs, ngroups: 1, nas: 1, features, num_max: 256, num_min: 64, config_size: 24,
      optional: ['get_vq_irq', 'get_vq_notification', 'get_generation', 'get_vq_num_min'], vq_state: 'any', config_writable: false,
    },
  });
}

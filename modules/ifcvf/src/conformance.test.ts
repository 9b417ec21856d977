/** The driver of a hardware function is a parent like any other; a station on its switch brings every frame back. */
import { mirrorMachine } from '@vdpalab/machine';
import { describeVdpaParent } from '@vdpalab/testing';

describeVdpaParent({
  name: 'ifcvf', builtins: ['pci'], modules: ['ifcvf'], handle: 'pci/0000:07:00.0',
  machine: (seed) => mirrorMachine(seed, {
    at: '07:00.0', model: 'n3000', ids: { vendor: 0x1af4, device: 0x1041, subvendor: 0x8086, subdevice: 0x1a },
    sriov: { total: 0, offset: 1, stride: 1 }, queue_pairs: 1, queue_size: 256, mtu: 1500, mac: '52:54:00:00:00:10', link: 'sw0', vfs: {},
  }),
  offers: {
    device_id: 1, vendor_id: 0x8086, nvqs: 2, ngroups: 1, nas: 1, features: 0x13_3801_8028n, num_max: 256, num_min: 64, config_size: 24,
    optional: ['get_vq_group', 'get_vq_irq', 'get_vq_notification', 'get_generation', 'get_vq_num_min'], vq_state: 'any', config_writable: true,
  },
});

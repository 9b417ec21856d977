/** The driver of a hardware function is a parent like any other; a port of its switch brings every frame back. */
import { createMachine, createPciHost, EthernetSwitch, InjectionPort } from '@vdpalab/machine';
import { describeVdpaParent } from '@vdpalab/testing';

describeVdpaParent({
  name: 'ifcvf', builtins: ['pci'], modules: ['ifcvf'], handle: 'pci/0000:07:00.0',
  machine(seed) {
    const hw = createMachine({ seed, ramBytes: 32 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
    const system = createPciHost(hw, {
      root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
      functions: [{
        at: '07:00.0', model: 'n3000', ids: { vendor: 0x1af4, device: 0x1041, subvendor: 0x8086, subdevice: 0x1a },
        sriov: { total: 0, offset: 1, stride: 1 }, queue_pairs: 1, queue_size: 256, mtu: 1500, mac: '52:54:00:00:00:10', link: 'sw0', vfs: {},
      }],
    }, [{ name: 'sw0', kind: 'switch' }]);
    const sw0 = system.networks.get('sw0');
    if (!(sw0 instanceof EthernetSwitch)) throw new Error('sw0 is no switch');
    const outside = new InjectionPort(sw0.attach('outside'));
    outside.onReceive = (): undefined => {
      for (const frame of outside.take()) outside.inject(frame);
    };
    return hw.machine;
  },
  offers: {
    device_id: 1, vendor_id: 0x8086, nvqs: 2, ngroups: 1, nas: 1, features: 0x13_3801_8028n, num_max: 256, num_min: 64, config_size: 24,
    optional: ['get_vq_group', 'get_vq_irq', 'get_vq_notification', 'get_generation', 'get_vq_num_min'], vq_state: 'any', config_writable: true,
  },
});

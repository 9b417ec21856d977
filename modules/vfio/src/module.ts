/** VFIO: containers, groups and devices for user space. Mirrors `drivers/vfio/{vfio_main,container}.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { containerFops } from './container.ts';
import { allocDevice, assignDeviceSet } from './device.ts';
import { fileSymbols } from './file.ts';
import { addCapability, capAdd, capShift } from './info-cap.ts';
import { IommuDrivers, noiommuOps } from './iommu-driver.ts';
import { validateIrqSet } from './irq-set.ts';
import { nextMigrationState } from './migration.ts';
import { imports, params } from './module-data.ts';
import { createPinning } from './pin.ts';
import { refuse } from './refuse.ts';
import { registerEmulated, registerGroupDev, unregisterGroupDev } from './registration.ts';
import type { Vfio } from './state.ts';

const VFIO_MINOR = 196;
const MINORS = 1 << 20;
const KERN_INFO = 6;

export default defineModule({
  name: 'vfio',
  license: 'GPL v2',
  version: '0.3',
  description: 'VFIO - User Level meta-driver',
  author: 'Alex Williamson <alex.williamson@redhat.com>',
  alias: ['devname:vfio/vfio', `char-major-10-${VFIO_MINOR}`],
  softdep: ['post: vfio_iommu_type1 vfio_iommu_spapr_tce'],
  params,
  imports,
  exports: ['vfio_pin_pages', 'vfio_unpin_pages', 'vfio_dma_rw', 'vfio_pin_user_pfns', 'vfio_unpin_user_pfns', 'vfio_register_notifier', 'vfio_unregister_notifier'],
  exportsGpl: [
    '_vfio_alloc_device', 'vfio_assign_device_set', 'vfio_device_set_open_count', 'vfio_file_enforced_coherent', 'vfio_file_has_dev',
    'vfio_file_iommu_group', 'vfio_file_is_group', 'vfio_file_set_kvm', 'vfio_info_add_capability', 'vfio_info_cap_add', 'vfio_info_cap_shift',
    'vfio_mig_get_next_state', 'vfio_register_emulated_iommu_dev', 'vfio_register_group_dev', 'vfio_register_iommu_driver',
    'vfio_set_irqs_validate_and_prepare', 'vfio_unregister_group_dev', 'vfio_unregister_iommu_driver', 'vfio_leftovers',
  ],

  async module_init(k, { THIS_MODULE, params: values, undo }) {
    const drivers = new IommuDrivers();
    const groupClass = { name: 'vfio' };
    const deviceClass = { name: 'vfio-dev' };
    const major = k.alloc_chrdev_region('vfio', 0, MINORS);
    undo.push('vfio majors', () => k.unregister_chrdev_region(major));
    const vfio: Vfio = {
      k, owner: THIS_MODULE, params: values, groupClass, deviceClass, major, deviceIds: k.ida_init(), groupIds: k.ida_init(),
      groupsLock: k.mutex_init('vfio.group_lock'), drivers, groups: new Set(), devices: new Set(), sets: new Map(), containers: new Set(),
    };

    const container = await k.misc_register({ minor: VFIO_MINOR, name: 'vfio', nodename: 'vfio/vfio', mode: 0o666, fops: containerFops(vfio) });
    undo.push('/dev/vfio/vfio', () => k.misc_deregister(container));
    drivers.register(noiommuOps(() => values.enable_unsafe_noiommu_mode, (cap) => k.capable(cap)));
    for (const cls of [groupClass, deviceClass]) {
      k.class_register(cls);
      undo.push(`class ${cls.name}`, () => k.class_unregister(cls));
    }
    k._printk(KERN_INFO, 'VFIO - User Level meta-driver version: 0.3');

    return {
      ksymtab: {
        _vfio_alloc_device: (dev, ops, data) => allocDevice(vfio, dev, ops, data),
        vfio_assign_device_set: (vdev, id) => assignDeviceSet(vfio, vdev, id),
        vfio_register_group_dev: (vdev) => registerGroupDev(vfio, vdev),
        vfio_register_emulated_iommu_dev: (vdev) => registerEmulated(vfio, vdev),
        vfio_unregister_group_dev: (vdev) => unregisterGroupDev(vfio, vdev),
        vfio_device_set_open_count: (set) => set.devices.reduce((sum, { open_count }) => sum + open_count, 0),
        vfio_register_iommu_driver: (ops) => drivers.register(ops),
        vfio_unregister_iommu_driver: (ops) => drivers.unregister(ops),
        vfio_mig_get_next_state: (vdev, from, to) => nextMigrationState(vdev.migration_flags, from, to)
          ?? refuse('EINVAL', 'migration.way', `${vdev.dev.name}: no way from state ${from} to ${to}`),
        ...fileSymbols,
        vfio_info_cap_add: capAdd,
        vfio_info_cap_shift: capShift,
        vfio_info_add_capability: addCapability,
        vfio_set_irqs_validate_and_prepare: validateIrqSet,
        ...createPinning(vfio),
        vfio_leftovers: () => [
          ...[...vfio.groups].map((group) => `vfio group ${group.name}: ${group.devices.length} devices`),
          ...[...vfio.devices].map(({ dev, open_count }) => `vfio device ${dev.name}: open ${open_count} times`),
          ...[...vfio.containers].map(({ groups }) => `a vfio container of ${groups.size} groups`),
        ],
      },
    };
  },
});

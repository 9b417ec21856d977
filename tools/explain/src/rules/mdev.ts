/** Why mediated devices refuse: the bus, parents, devices. */
import type { RuleRows } from '../rule.ts';

export const mdevRules = {
  'mdev.create.available': ['The parent can make no further device.', 'Remove one first, or take another parent; available_instances counts.', 'drivers/vfio/mdev/mdev_core.c mdev_device_create'],
  'mdev.create.exists': ['Each UUID is one device, whichever parent has it.', 'Take another UUID: uuidgen.', 'drivers/vfio/mdev/mdev_core.c mdev_device_create'],
  'mdev.create.length': ['create takes the 36 characters of a UUID.', 'Write a UUID and nothing else.', 'drivers/vfio/mdev/mdev_sysfs.c create_store'],
  'mdev.create.uuid': ['A UUID is hexadecimal digits, with dashes after 8, 12, 16 and 20 of them.', 'Write one as uuidgen prints it.', 'drivers/vfio/mdev/mdev_sysfs.c create_store'],
  'mdev.driver.device-api': ['A driver of mediated devices says how they are driven.', 'Set device_api: "vfio-pci".', 'drivers/vfio/mdev/mdev_driver.c mdev_register_driver'],
  'mdev.driver.owner': ['A bus driver has an owner, who is held while a device is bound.', 'Pass THIS_MODULE.', '-'],
  'mdev.parent.driver': ['A parent\'s driver is on the bus before the parent comes.', 'mdev_register_driver first.', '-'],
  'mdev.parent.going': ['The parent is taking its mediated devices away.', 'Take another parent, or load its driver again.', 'drivers/vfio/mdev/mdev_core.c mdev_device_create'],
  'mdev.parent.ops': ['A parent has create, remove and at least one type.', 'Set the three.', 'drivers/vfio/mdev/mdev_core.c mdev_register_device (4.10)'],
  'mdev.parent.sysfs': ['A parent is a device in sysfs.', 'device_add first.', '-'],
  'mdev.parent.twice': ['A device is a parent of mediated devices once.', 'Unregister it first.', 'drivers/vfio/mdev/mdev_sysfs.c parent_create_sysfs_files'],
  'mdev.parent.type-files': ['Each type has the files device_api and available_instances.', 'Add the one that the message names.', '-'],
  'mdev.probe.owner': ['The bus driver\'s module is being unloaded.', 'Load it again.', '-'],
  'mdev.remove.gone': ['The device has been removed.', 'Nothing; it is gone.', 'drivers/vfio/mdev/mdev_core.c mdev_device_remove'],
  'mdev.remove.inactive': ['The device is being made, or somebody else removes it.', 'Try again when that has ended.', 'drivers/vfio/mdev/mdev_core.c mdev_device_remove'],
  'mdev.remove.number': ['remove takes an unsigned number; any but 0 removes.', 'Write 1.', 'drivers/vfio/mdev/mdev_sysfs.c remove_store'],
  'mdev.remove.refused': ['The vendor\'s driver does not let a device go that is in use.', 'Close it first.', 'drivers/vfio/mdev/mdev_core.c mdev_device_remove_ops (4.10)'],
} as const satisfies RuleRows;

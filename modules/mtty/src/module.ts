/** Mediated serial ports, a sample. Mirrors `samples/vfio-mdev/mtty.c` (Linux 6.1). */
import { defineModule, KernelError } from '@vdpalab/abi';
import type { AttributeGroup, Class, Device } from '@vdpalab/driver-core';
import type { MdevDriver, MdevParent, MdevType } from '@vdpalab/mdev-core';
import { VFIO_DEVICE_API_PCI_STRING } from '@vdpalab/uapi';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';
import { SerialCard } from './card.ts';

const MAX_MTTYS = 24;
const MINORS = 1 << 20;
const KERN_INFO = 6;

/** A type says how many ports its cards have. */
interface MttyType extends MdevType {
  readonly nr_ports: 1 | 2;
}

/** What probe leaves for remove, with the device. */
const cardOf = (vdev: VfioDevice): SerialCard => vdev.data as SerialCard; // put there by probe

export default defineModule({
  name: 'mtty',
  license: 'GPL v2',
  author: 'NVIDIA Corporation',
  version: '0.1',
  imports: [
    '_printk', 'alloc_chrdev_region', 'unregister_chrdev_region', 'class_register', 'class_unregister', 'device_initialize', 'device_add',
    'device_unregister', 'put_device', 'dev_get_drvdata', 'dev_set_drvdata', 'eventfd_ctx_fdget', 'eventfd_ctx_put', 'eventfd_signal',
    'mdev_register_driver', 'mdev_unregister_driver', 'mdev_register_parent', 'mdev_unregister_parent', 'mdev_from_dev',
    '_vfio_alloc_device', 'vfio_register_emulated_iommu_dev', 'vfio_unregister_group_dev', 'vfio_set_irqs_validate_and_prepare',
  ],

  async module_init(k, { THIS_MODULE, undo }) {
    const info = (text: string): void => void k._printk(KERN_INFO, text);
    let available = MAX_MTTYS;

    const ops: VfioDeviceOps = {
      name: 'vfio-mtty',
      async init(vdev) {
        const { nr_ports } = k.mdev_from_dev(vdev.dev)!.type as MttyType; // a device of ours
        if (available < nr_ports) throw new KernelError('ENOSPC', 'mtty.probe.ports', `${nr_ports} ports asked for, ${available} left of ${MAX_MTTYS}`);
        available -= nr_ports;
      },
      release(vdev) {
        available += cardOf(vdev).ports;
      },
      async close_device(vdev) {
        cardOf(vdev).release();
      },
      read: async (vdev, len, pos) => cardOf(vdev).read(len, pos),
      write: async (vdev, bytes, pos) => cardOf(vdev).write(bytes, pos),
      ioctl: async (vdev, cmd, arg, proc) => cardOf(vdev).ioctl(cmd, arg, proc),
    };
    const vendorGroup: AttributeGroup<Device> = {
      name: 'vendor', attrs: [{ name: 'sample_mdev_dev', mode: 0o444, show: async (dev) => `This is MDEV ${dev.name}\n` }],
    };
    const driver: MdevDriver = {
      device_api: VFIO_DEVICE_API_PCI_STRING,
      driver: { name: 'mtty', owner: THIS_MODULE, dev_groups: [vendorGroup] },
      async probe(mdev) {
        const vdev = await k._vfio_alloc_device(mdev.dev, ops, new SerialCard(k, (mdev.type as MttyType).nr_ports)); // of our types
        try {
          await k.vfio_register_emulated_iommu_dev(vdev);
        } catch (error) {
          k.put_device(vdev.device);
          throw error;
        }
        k.dev_set_drvdata(mdev.dev, vdev);
      },
      async remove(mdev) {
        const vdev = k.dev_get_drvdata(mdev.dev) as VfioDevice; // set by probe
        await k.vfio_unregister_group_dev(vdev);
        k.put_device(vdev.device);
      },
      get_available: (type) => Math.floor(available / (type as MttyType).nr_ports),
    };
    const types: readonly MttyType[] = [
      { sysfs_name: '1', pretty_name: 'Single port serial', nr_ports: 1, parent: null },
      { sysfs_name: '2', pretty_name: 'Dual port serial', nr_ports: 2, parent: null },
    ];

    info('mtty_dev: mtty_dev_init');
    let up = false;
    undo.push('a last word', () => {
      if (up) info('mtty_dev: Unloaded!');
    });
    const cls: Class = { name: 'mtty' };
    const major = k.alloc_chrdev_region('mtty', 0, MINORS); // reserved; nothing answers there
    undo.push('major', () => k.unregister_chrdev_region(major));
    info(`major_number:${major}`);
    await k.mdev_register_driver(driver);
    let classUp = false;
    undo.push('driver mtty', async () => {
      await k.mdev_unregister_driver(driver);
      if (classUp) k.class_unregister(cls); // after the driver, before which it came
    });
    k.class_register(cls);
    classUp = true;
    const dev = k.device_initialize({ name: 'mtty', class: cls });
    try {
      await k.device_add(dev);
    } catch (error) {
      k.put_device(dev);
      throw error;
    }
    undo.push('device mtty', () => k.device_unregister(dev));
    const parent: MdevParent = { dev: null, mdev_driver: null, ops: null, types: [] };
    await k.mdev_register_parent(parent, dev, driver, types, types.length);
    undo.push('parent mtty', () => k.mdev_unregister_parent(parent));
    up = true;
    return { ksymtab: {}, module_exit: () => undefined };
  },
});

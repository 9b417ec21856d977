/** Mediated displays in the manner of the Bochs VGA, a sample. Mirrors `samples/vfio-mdev/mbochs.c` (Linux 6.1). */
import { defineModule, KernelError, param } from '@vdpalab/abi';
import type { AttributeGroup, Class, Device } from '@vdpalab/driver-core';
import type { MdevDriver, MdevParent, MdevType } from '@vdpalab/mdev-core';
import { VFIO_DEVICE_API_PCI_STRING } from '@vdpalab/uapi';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';
import { MbochsDisplay } from './display.ts';

const PAGE_SIZE = 4096;
const MINORS = 1 << 20;
const KERN_INFO = 6;

interface MbochsType extends MdevType {
  /** Video memory. */
  readonly mbytes: number;
  /** The largest resolution, pixels; 0 for any. */
  readonly max: { readonly x: number; readonly y: number };
}

const typeOf = (name: string, mbytes: number, x: number, y: number): MbochsType => ({ sysfs_name: name, pretty_name: `mbochs-${name}`, mbytes, max: { x, y }, parent: null });

/** What a VFIO device is of; the display is there from init to release. */
interface Holder {
  display: MbochsDisplay | null;
  readonly mbytes: number;
}

const displayOf = (vdev: VfioDevice): MbochsDisplay => (vdev.data as Holder).display!; // put there by probe and init

export default defineModule({
  name: 'mbochs',
  license: 'GPL v2',
  params: { count: param.int(256, { perm: 0o444, desc: 'megabytes available to mbochs devices' }) },
  imports: [
    '_printk', 'alloc_chrdev_region', 'unregister_chrdev_region', 'class_register', 'class_unregister', 'device_initialize', 'device_add',
    'device_unregister', 'put_device', 'dev_info', 'dev_get_drvdata', 'dev_set_drvdata', 'alloc_pages', 'free_pages', 'phys_view',
    'mdev_register_driver', 'mdev_unregister_driver', 'mdev_register_parent', 'mdev_unregister_parent', 'mdev_from_dev',
    '_vfio_alloc_device', 'vfio_register_emulated_iommu_dev', 'vfio_unregister_group_dev',
  ],

  async module_init(k, { THIS_MODULE, params, undo }) {
    let available = params.count;

    const ops: VfioDeviceOps = {
      name: 'vfio-mbochs',
      async init(vdev) {
        const { mbytes, max, pretty_name } = k.mdev_from_dev(vdev.dev)!.type as MbochsType; // a device of ours
        if (available < mbytes) throw new KernelError('ENOSPC', 'mbochs.probe.memory', `${mbytes} MB asked for, ${available} left of ${params.count}`);
        available -= mbytes;
        const memsize = mbytes << 20;
        (vdev.data as Holder).display = new MbochsDisplay(k, memsize, max, (text) => void k.dev_info(vdev.dev, text)); // put there by probe
        k.dev_info(vdev.dev, `mbochs_init_dev: ${pretty_name}, ${mbytes} MB, ${memsize / PAGE_SIZE} pages`);
      },
      release(vdev) {
        available += (vdev.data as Holder).mbytes;
        displayOf(vdev).release();
      },
      read: async (vdev, len, pos) => displayOf(vdev).read(len, pos),
      write: async (vdev, bytes, pos) => displayOf(vdev).write(bytes, pos),
      ioctl: async (vdev, cmd, arg, proc) => displayOf(vdev).ioctl(cmd, arg, proc),
      mmap: async (vdev, vma) => displayOf(vdev).mmap(vma),
    };
    const vendorGroup: AttributeGroup<Device> = {
      name: 'vendor',
      attrs: [{ name: 'memory', mode: 0o444, show: async (dev) => `${(k.mdev_from_dev(dev)!.type as MbochsType).mbytes} MB\n` }], // a device of ours
    };
    const driver: MdevDriver = {
      device_api: VFIO_DEVICE_API_PCI_STRING,
      driver: { name: 'mbochs', owner: THIS_MODULE, dev_groups: [vendorGroup] },
      async probe(mdev) {
        const { mbytes } = mdev.type as MbochsType; // of our types
        const vdev = await k._vfio_alloc_device(mdev.dev, ops, { display: null, mbytes } satisfies Holder);
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
      get_available: (type) => Math.floor(available / (type as MbochsType).mbytes),
      show_description: (type) => `virtual display, ${(type as MbochsType).mbytes} MB video memory\n`,
    };
    const types = [typeOf('small', 4, 800, 600), typeOf('medium', 16, 1920, 1440), typeOf('large', 64, 0, 0)];

    const cls: Class = { name: 'mbochs' };
    const major = k.alloc_chrdev_region('mbochs', 0, MINORS); // reserved; nothing answers there
    undo.push('major', () => k.unregister_chrdev_region(major));
    k._printk(KERN_INFO, `mbochs_dev_init: major ${major}`);
    await k.mdev_register_driver(driver);
    let classUp = false;
    undo.push('driver mbochs', async () => {
      await k.mdev_unregister_driver(driver);
      if (classUp) k.class_unregister(cls); // after the driver, before which it came
    });
    k.class_register(cls);
    classUp = true;
    const dev = k.device_initialize({ name: 'mbochs', class: cls });
    try {
      await k.device_add(dev);
    } catch (error) {
      k.put_device(dev);
      throw error;
    }
    undo.push('device mbochs', () => k.device_unregister(dev));
    const parent: MdevParent = { dev: null, mdev_driver: null, ops: null, types: [] };
    await k.mdev_register_parent(parent, dev, driver, types, types.length);
    undo.push('parent mbochs', () => k.mdev_unregister_parent(parent));
    return { ksymtab: {}, module_exit: () => undefined };
  },
});

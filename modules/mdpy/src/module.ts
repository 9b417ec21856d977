/** Mediated displays whose framebuffer is mapped, a sample. Mirrors `samples/vfio-mdev/mdpy.c` (Linux 6.1). */
import { defineModule, KernelError, param } from '@vdpalab/abi';
import type { AttributeGroup, Class, Device } from '@vdpalab/driver-core';
import type { MdevDriver, MdevParent, MdevType } from '@vdpalab/mdev-core';
import { VFIO_DEVICE_API_PCI_STRING } from '@vdpalab/uapi';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';
import { MdpyDisplay } from './display.ts';
import type { MdpyMode } from './display.ts';

const MINORS = 1 << 20;
const KERN_INFO = 6;

interface MdpyType extends MdevType, MdpyMode {}

const typeOf = (name: string, width: number, height: number): MdpyType => ({ sysfs_name: name, pretty_name: `mdpy-${name}`, width, height, parent: null });

/** What a VFIO device is of; the display is there from init to release. */
interface Holder {
  display: MdpyDisplay | null;
}

const displayOf = (vdev: VfioDevice): MdpyDisplay => (vdev.data as Holder).display!; // put there by probe and init

export default defineModule({
  name: 'mdpy',
  license: 'GPL v2',
  params: { count: param.int(4, { perm: 0o444, desc: 'number of mdpy devices' }) },
  imports: [
    '_printk', 'alloc_chrdev_region', 'unregister_chrdev_region', 'class_register', 'class_unregister', 'device_initialize', 'device_add',
    'device_unregister', 'put_device', 'dev_info', 'dev_get_drvdata', 'dev_set_drvdata', 'alloc_pages', 'free_pages', 'phys_view',
    'mdev_register_driver', 'mdev_unregister_driver', 'mdev_register_parent', 'mdev_unregister_parent', 'mdev_from_dev',
    '_vfio_alloc_device', 'vfio_register_emulated_iommu_dev', 'vfio_unregister_group_dev',
  ],

  async module_init(k, { THIS_MODULE, params, undo }) {
    let count = 0;

    const ops: VfioDeviceOps = {
      name: 'vfio-mdpy',
      async init(vdev) {
        const type = k.mdev_from_dev(vdev.dev)!.type as MdpyType; // a device of ours
        if (count >= params.count >>> 0) throw new KernelError('ENOMEM', 'mdpy.probe.count', `${count} displays of ${params.count}`);
        const display = new MdpyDisplay(k, type, (text) => void k.dev_info(vdev.dev, text));
        (vdev.data as Holder).display = display; // put there by probe
        k.dev_info(vdev.dev, `mdpy_init_dev: mdpy-${type.sysfs_name} (${type.width}x${type.height})`);
        count++;
      },
      release(vdev) {
        count--;
        displayOf(vdev).release();
      },
      read: async (vdev, len, pos) => displayOf(vdev).read(len, pos),
      write: async (vdev, bytes, pos) => displayOf(vdev).write(bytes, pos),
      ioctl: async (vdev, cmd, arg, proc) => displayOf(vdev).ioctl(cmd, arg, proc),
      mmap: async (vdev, vma) => displayOf(vdev).mmap(vma),
    };
    const vendorGroup: AttributeGroup<Device> = {
      name: 'vendor',
      attrs: [{
        name: 'resolution', mode: 0o444,
        async show(dev) {
          const { width, height } = k.mdev_from_dev(dev)!.type as MdpyType; // a device of ours
          return `${width}x${height}\n`;
        },
      }],
    };
    const driver: MdevDriver = {
      device_api: VFIO_DEVICE_API_PCI_STRING,
      max_instances: params.count,
      driver: { name: 'mdpy', owner: THIS_MODULE, dev_groups: [vendorGroup] },
      async probe(mdev) {
        const vdev = await k._vfio_alloc_device(mdev.dev, ops, { display: null } satisfies Holder);
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
        k.dev_info(mdev.dev, 'mdpy_remove');
        await k.vfio_unregister_group_dev(vdev);
        k.put_device(vdev.device);
      },
      show_description: (type) => {
        const { width, height } = type as MdpyType; // of our types
        return `virtual display, ${width}x${height} framebuffer\n`;
      },
    };
    const types = [typeOf('vga', 640, 480), typeOf('xga', 1024, 768), typeOf('hd', 1920, 1080)];

    const cls: Class = { name: 'mdpy' };
    const major = k.alloc_chrdev_region('mdpy', 0, MINORS); // reserved; nothing answers there
    undo.push('major', () => k.unregister_chrdev_region(major));
    k._printk(KERN_INFO, `mdpy_dev_init: major ${major}`);
    await k.mdev_register_driver(driver);
    let classUp = false;
    undo.push('driver mdpy', async () => {
      await k.mdev_unregister_driver(driver);
      if (classUp) k.class_unregister(cls); // after the driver, before which it came
    });
    k.class_register(cls);
    classUp = true;
    const dev = k.device_initialize({ name: 'mdpy', class: cls });
    try {
      await k.device_add(dev);
    } catch (error) {
      k.put_device(dev);
      throw error;
    }
    undo.push('device mdpy', () => k.device_unregister(dev));
    const parent: MdevParent = { dev: null, mdev_driver: null, ops: null, types: [] };
    await k.mdev_register_parent(parent, dev, driver, types, types.length);
    undo.push('parent mdpy', () => k.mdev_unregister_parent(parent));
    return { ksymtab: {}, module_exit: () => undefined };
  },
});

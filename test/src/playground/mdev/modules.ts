/**
 * Three toy vendors of 2016, as in the picture of vfio-mediated-device.txt, and one of today with the first one's device:
 * the core, the bus driver and the engine know none of them. Test data.
 *
 * nvidia can be unplugged while it is in use; i915 cannot; ccw_device has no DMA and no memory to map.
 */
import { defineModule, KernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { AttributeGroup, Class, Device } from '@vdpalab/driver-core';
import type { ModuleFileInfo } from '@vdpalab/lab';
import type { MdevDevice, MdevDriver, MdevParent, MdevType, ParentOps } from '@vdpalab/mdev-core';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';
import { ToyEngine } from './engine.ts';
import type { Pinning } from './engine.ts';

/** What tells vendors apart. */
interface Vendor {
  readonly name: string;
  readonly api: string;
  /** Types by name, with what people call them. */
  readonly types: Readonly<Record<string, string>>;
  readonly instances: number;
  readonly hotUnplug: boolean;
  readonly dma: boolean;
}

const PAGE_SIZE = 4096;
/** IOMMU_READ | IOMMU_WRITE */
const RW = 3;

const vendors: readonly Vendor[] = [
  { name: 'nvidia', api: 'vfio-pci', types: { '11': 'GRID M60-0B', 'grid-12': 'GRID M60-0Q' }, instances: 2, hotUnplug: true, dma: true },
  { name: 'i915', api: 'vfio-pci', types: { GVTg_V5_4: 'GVTg_V5_4' }, instances: 4, hotUnplug: false, dma: true },
  { name: 'ccw_device', api: 'vfio-ccw', types: { io: 'I/O subchannel' }, instances: 1, hotUnplug: false, dma: false },
];

/** How many devices a vendor may still make. */
class Stock {
  left: number;
  readonly #vendor: Vendor;

  constructor(vendor: Vendor) {
    this.#vendor = vendor;
    this.left = vendor.instances;
  }

  take(): void {
    if (this.left === 0) throw new KernelError('ENOSPC', 'toy.create', `${this.#vendor.name}: all ${this.#vendor.instances} are taken`);
    this.left--;
  }
}

const serial: AttributeGroup<Device> = { name: 'vendor', attrs: [{ name: 'serial', mode: 0o444, show: async (dev) => `${dev.name}-0001\n` }] };
const engineFile: AttributeGroup<Device> = { name: 'vendor', attrs: [{ name: 'engine', mode: 0o444, show: async () => 'copy\n' }] };

/** A physical device of a class of the vendor's name. @returns takes it away */
async function physical(k: Pick<KernelSymbols, 'class_register' | 'class_unregister' | 'device_initialize' | 'device_add' | 'device_unregister' | 'put_device'>, name: string):
Promise<{ dev: Device; remove: () => Promise<void> }> {
  const cls: Class = { name };
  k.class_register(cls);
  const dev = k.device_initialize({ name: `${name}-0`, class: cls });
  try {
    await k.device_add(dev);
  } catch (error) {
    k.put_device(dev);
    k.class_unregister(cls);
    throw error;
  }
  return {
    dev,
    async remove() {
      await k.device_unregister(dev);
      k.class_unregister(cls);
    },
  };
}

/** A vendor of 2016. */
const of2016 = (vendor: Vendor) => defineModule({
  name: vendor.name,
  license: 'GPL v2',
  imports: [
    'mdev_register_device', 'mdev_unregister_device', 'mdev_get_drvdata', 'mdev_set_drvdata', 'vfio_pin_user_pfns', 'vfio_unpin_user_pfns',
    'alloc_pages', 'free_pages', 'phys_view', 'class_register', 'class_unregister', 'device_initialize', 'device_add', 'device_unregister', 'put_device',
  ],
  async module_init(k, { THIS_MODULE, undo }) {
    const stock = new Stock(vendor);
    const engine = (mdev: MdevDevice): ToyEngine => k.mdev_get_drvdata(mdev) as ToyEngine; // set by create
    const pinning = ({ dev }: MdevDevice): Pinning => ({
      async pin(iova, npage) {
        const frames: number[] = [];
        await k.vfio_pin_user_pfns(dev, Array.from({ length: npage }, (_, n) => iova / PAGE_SIZE + n), npage, RW, frames);
        return frames.map((pfn) => pfn * PAGE_SIZE);
      },
      unpin: async (iova, npage) => void (await k.vfio_unpin_user_pfns(dev, Array.from({ length: npage }, (_, n) => iova / PAGE_SIZE + n), npage)),
    });
    const file = (name: string, text: () => string) => ({ name, mode: 0o444, show: async () => `${text()}\n` });
    const ops: ParentOps = {
      owner: THIS_MODULE,
      dev_attr_groups: [serial], mdev_attr_groups: [engineFile],
      supported_config: Object.entries(vendor.types).map(([name, pretty]) => ({
        name, attrs: [file('name', () => pretty), file('device_api', () => vendor.api), file('available_instances', () => String(stock.left))],
      })),
      async create(_, mdev) {
        stock.take();
        try {
          k.mdev_set_drvdata(mdev, new ToyEngine(k, vendor.dma ? pinning(mdev) : null));
        } catch (error) {
          stock.left++;
          throw error;
        }
      },
      async remove(mdev) {
        if (!vendor.hotUnplug && engine(mdev).isOpen) throw new KernelError('EBUSY', 'toy.remove', `${vendor.name}: no hot unplug`);
        engine(mdev).unplug();
        stock.left++;
      },
      open: async (mdev) => engine(mdev).open(),
      close: (mdev) => engine(mdev).close(),
      read: async (mdev, len, pos) => engine(mdev).read(len, pos),
      write: (mdev, bytes, pos) => engine(mdev).write(bytes, pos),
      ioctl: (mdev, cmd, arg, proc) => engine(mdev).ioctl(cmd, arg, proc),
      ...(vendor.dma ? {
        mmap: async (mdev: MdevDevice, vma: Parameters<ToyEngine['mmap']>[0]) => engine(mdev).mmap(vma),
        notifier: (mdev: MdevDevice, _action: string, iova: number, length: number) => engine(mdev).dmaUnmap(iova, length),
      } : {}),
    };
    const { dev, remove } = await physical(k, vendor.name);
    undo.push('physical device', remove);
    await k.mdev_register_device(dev, ops);
    undo.push('parent', () => k.mdev_unregister_device(dev));
    return { ksymtab: {} };
  },
});

/** The same vendor on today's surface; its module has another name, all else is the same. */
const ofToday = (vendor: Vendor) => defineModule({
  name: `${vendor.name}_today`,
  license: 'GPL v2',
  imports: [
    'mdev_register_driver', 'mdev_unregister_driver', 'mdev_register_parent', 'mdev_unregister_parent', '_vfio_alloc_device',
    'vfio_register_emulated_iommu_dev', 'vfio_unregister_group_dev', 'vfio_pin_pages', 'vfio_unpin_pages', 'dev_get_drvdata', 'dev_set_drvdata',
    'alloc_pages', 'free_pages', 'phys_view', 'class_register', 'class_unregister', 'device_initialize', 'device_add', 'device_unregister', 'put_device',
  ],
  async module_init(k, { THIS_MODULE, undo }) {
    const stock = new Stock(vendor);
    const engine = (vdev: VfioDevice): ToyEngine => (vdev.data as { engine: ToyEngine }).engine; // set by init
    const ops: VfioDeviceOps = {
      name: `vfio-${vendor.name}`,
      async init(vdev) {
        stock.take();
        const pinning: Pinning = { pin: (iova, npage) => k.vfio_pin_pages(vdev, iova, npage, RW), unpin: (iova, npage) => k.vfio_unpin_pages(vdev, iova, npage) };
        try {
          (vdev.data as { engine: ToyEngine }).engine = new ToyEngine(k, pinning); // an empty holder until now
        } catch (error) {
          stock.left++;
          throw error;
        }
      },
      release(vdev) {
        engine(vdev).unplug();
        stock.left++;
      },
      open_device: async (vdev) => engine(vdev).open(),
      close_device: (vdev) => engine(vdev).close(),
      read: async (vdev, len, pos) => engine(vdev).read(len, pos),
      write: (vdev, bytes, pos) => engine(vdev).write(bytes, pos),
      ioctl: (vdev, cmd, arg, proc) => engine(vdev).ioctl(cmd, arg, proc),
      mmap: async (vdev, vma) => engine(vdev).mmap(vma),
      dma_unmap: (vdev, iova, length) => engine(vdev).dmaUnmap(iova, length),
    };
    const driver: MdevDriver = {
      device_api: vendor.api,
      driver: { name: vendor.name, owner: THIS_MODULE, dev_groups: [engineFile] },
      async probe(mdev) {
        const vdev = await k._vfio_alloc_device(mdev.dev, ops, {});
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
      get_available: () => stock.left,
    };
    await k.mdev_register_driver(driver);
    undo.push('driver', () => k.mdev_unregister_driver(driver));
    const { dev, remove } = await physical(k, vendor.name);
    undo.push('physical device', remove);
    const types: MdevType[] = Object.entries(vendor.types).map(([sysfs_name, pretty_name]) => ({ sysfs_name, pretty_name, parent: null }));
    const parent: MdevParent = { dev: null, mdev_driver: null, ops: null, types: [] };
    await k.mdev_register_parent(parent, dev, driver, types, types.length);
    undo.push('parent', () => k.mdev_unregister_parent(parent));
    return { ksymtab: {} };
  },
});

const info = (name: string): ModuleFileInfo => ({ path: `kernel/drivers/vfio/mdev/${name}.ko` });

export const modules: readonly { readonly module: unknown; readonly modinfo: ModuleFileInfo }[] = [
  ...vendors.map((vendor) => ({ module: of2016(vendor), modinfo: info(vendor.name) })),
  ...vendors.slice(0, 1).map((vendor) => ({ module: ofToday(vendor), modinfo: info(`${vendor.name}_today`) })),
];

import { covers } from '@vdpalab/testing';
import { MDEV_CLASS_ID_VFIO, MDEV_CLASS_ID_VHOST, MDEV_CLASS_ID_VIRTIO } from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import type { MdevDevice, VirtioMdevDeviceOps } from './header.ts';
import { bootMdev, busDriver, OWNER, uuid, vendorOps } from './testing/kernel.ts';

const CREATE = '/sys/devices/virtual/phys/phys/mdev_supported_types/phys-small/create';

it('gives a device to the bus driver whose table has its class, VFIO\'s when its parent says none', async () => {
  covers('2.11.11');
  expect([MDEV_CLASS_ID_VFIO, MDEV_CLASS_ID_VIRTIO, MDEV_CLASS_ID_VHOST]).toEqual([1, 2, 3]);
  const kernel = await bootMdev();
  const { k } = kernel;
  const log: string[] = [];
  const ops = {} as VirtioMdevDeviceOps; // nobody calls it here
  const made: MdevDevice[] = [];
  const set = [undefined, k.mdev_set_virtio_ops, k.mdev_set_vhost_ops] as const;
  const phys = await kernel.physical('phys');
  await kernel.run(async () => {
    await k.mdev_register_device(phys, vendorOps([], {
      async create(_, mdev) {
        set[made.length]?.(mdev, ops);
        if (made.length === 3) k.mdev_set_class(mdev, 9); // of nobody
        made.push(mdev);
      },
    }));
    for (const [name, id_table] of [['vfio', undefined], ['virtio', [MDEV_CLASS_ID_VIRTIO]], ['vhost', [MDEV_CLASS_ID_VHOST]]] as const) {
      await k.mdev_register_driver({ ...busDriver(name, log), ...(id_table === undefined ? {} : { id_table }) }, OWNER);
    }
  });
  await kernel.sh(async (sh) => {
    for (const n of [1, 2, 3, 4]) expect(await sh.write(CREATE, uuid(n))).toBe(0);
  });
  expect(log.splice(0)).toEqual(['vfio probe 01', 'virtio probe 02', 'vhost probe 03']);
  const [vfio, virtio, vhost] = made as [MdevDevice, MdevDevice, MdevDevice];
  expect([k.mdev_get_virtio_ops(virtio), k.mdev_get_vhost_ops(vhost)]).toEqual([ops, ops]);
  expect(() => k.mdev_get_vhost_ops(virtio)).toThrow('operations of class 3 are asked of a device of class 2');
  expect(() => k.mdev_get_virtio_ops(vfio)).toThrow('of class 1');
  expect(k.mdev_get_iommu_device(vhost)).toBeNull();
  k.mdev_set_iommu_device(vhost, phys);
  expect(k.mdev_get_iommu_device(vhost)).toBe(phys);
  await kernel.run(() => k.mdev_unregister_device(phys));
  expect(log).toEqual(['vfio remove 01', 'virtio remove 02', 'vhost remove 03']);
});

/** The bus type. Mirrors `drivers/vdpa/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { BusType, DeviceDriver, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { VdpaDevices } from './device.ts';
import type { VdpaDriver } from './header.ts';

/** All of a 64-bit mask that a number holds; addresses here are below 2^53. */
const DMA_BIT_MASK_64 = Number.MAX_SAFE_INTEGER;

/**
 * Every bus driver matches every device, unless an override names another; the driver core sees to overrides.
 *
 * @param driverOf the vDPA driver around a driver-core driver
 */
export function vdpaBus(
  k: Pick<DriverCoreSymbols, 'dev_err'> & Pick<IommuSymbols, 'dma_set_mask_and_coherent' | 'iommu_device_use_default_domain' | 'iommu_device_unuse_default_domain'>,
  devices: VdpaDevices,
  driverOf: (drv: DeviceDriver) => VdpaDriver,
): BusType {
  return {
    name: 'vdpa',
    driver_override: true,

    async probe(dev) {
      const vdev = devices.of(dev);
      if (dev.driver === null) throw new Error(`${dev.name}: probed without a driver`);
      const drv = driverOf(dev.driver);
      if (!vdev.models.has(drv.model)) {
        const declared = [...vdev.models].join(', ');
        k.dev_err(dev, `${drv.name} needs a parent that supports "${drv.model}", this one declares ${declared}`);
        throw new KernelError('EOPNOTSUPP', 'vdpa.probe.model', `${dev.name}: ${drv.name} needs "${drv.model}", the parent declares ${declared}`);
      }
      if (vdev.dma_dev.dma !== null) k.dma_set_mask_and_coherent(vdev.dma_dev, DMA_BIT_MASK_64);
      const max = vdev.config.get_vq_num_max(vdev);
      const min = vdev.config.get_vq_num_min?.(vdev) ?? 1;
      if (max < min) throw new KernelError('EINVAL', 'vdpa.probe.vq-num', `${dev.name}: largest queue ${max}, smallest ${min}`);
      if (drv.model === 'vfio') return await drv.probe(vdev); // it leaves the DMA to user space
      k.iommu_device_use_default_domain(vdev.dma_dev);
      try {
        await drv.probe(vdev);
      } catch (error) {
        k.iommu_device_unuse_default_domain(vdev.dma_dev);
        throw error;
      }
    },

    async remove(dev) {
      if (dev.driver === null) return;
      const vdev = devices.of(dev);
      const drv = driverOf(dev.driver);
      await drv.remove?.(vdev);
      if (drv.model !== 'vfio') k.iommu_device_unuse_default_domain(vdev.dma_dev);
    },
  };
}

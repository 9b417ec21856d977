/** The management device of a function. Mirrors `ifcvf_vdpa_dev_add` in `drivers/vdpa/ifcvf/ifcvf_main.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import { VDPA_ATTR_DEV_FEATURES } from '@vdpalab/uapi';
import type { VdpaDevice, VdpaDevSetConfig, VdpaMgmtDev, VdpaSymbols } from '@vdpalab/vdpa-core';
import type { IfcvfHw } from './hardware.ts';
import type { IfcvfIrqs } from './irq.ts';
import { ifcvfOps } from './ops.ts';

/** What making vDPA devices takes. */
export type ManagementSymbols =
  & Pick<VdpaSymbols, '__vdpa_alloc_device' | '_vdpa_register_device' | '_vdpa_unregister_device'>
  & Pick<DriverCoreSymbols, 'dev_err' | 'put_device'>;

const hex = (n: bigint): string => `0x${n.toString(16)}`;

/** Features a device is made with: the hardware's, or fewer. @throws EINVAL for one the hardware has not */
function provisioned(k: ManagementSymbols, hw: IfcvfHw, name: string, config: VdpaDevSetConfig): bigint {
  if ((config.mask & (1n << BigInt(VDPA_ATTR_DEV_FEATURES))) === 0n) return hw.features;
  const wanted = config.device_features;
  if ((wanted & ~hw.features) === 0n) return wanted;
  const text = `The provisioned features ${hex(wanted)} are not supported by this device with features ${hex(hw.features)}`;
  k.dev_err(hw.pdev.dev, text);
  throw new KernelError('EINVAL', 'ifcvf.add.features', `${name}: ${text}`);
}

/**
 * The management device of one function; it makes at most one vDPA device.
 *
 * Linux 6.1 takes a second one on the same registers, which ends in a crash; earlier versions refuse it as is done here.
 */
export function managementOf(k: ManagementSymbols, hw: IfcvfHw, irqs: IfcvfIrqs): VdpaMgmtDev {
  const { dev } = hw.pdev;
  let made: VdpaDevice | null = null;
  return {
    device: dev,
    id_table: [hw.type],
    config_attr_mask: 1n << BigInt(VDPA_ATTR_DEV_FEATURES),
    supported_features: hw.features,
    max_supported_vqs: hw.nrVring,
    priv: hw,
    ops: {
      async dev_add(mdev, name, config) {
        const features = provisioned(k, hw, name, config);
        if (made !== null && made.dev.name !== name) throw new KernelError('EOPNOTSUPP', 'ifcvf.add.one', `${name}: ${dev.name} has ${made.dev.name} already`);
        const vdev = await k.__vdpa_alloc_device({
          parent: dev, dma_dev: dev, config: ifcvfOps(hw, irqs, features), ngroups: 1, nas: 1, name,
          models: ['virtio', 'vfio', 'vhost'], priv: hw,
        });
        vdev.mdev = mdev;
        try {
          await k._vdpa_register_device(vdev, hw.nrVring);
        } catch (error) {
          k.dev_err(dev, 'Failed to register to vDPA bus');
          k.put_device(vdev.dev);
          throw error;
        }
        made = vdev;
      },
      async dev_del(_, vdev) {
        await k._vdpa_unregister_device(vdev);
        made = null;
      },
    },
  };
}

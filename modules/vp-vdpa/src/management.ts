/** The management device of a function. Mirrors `vp_vdpa_dev_add` in `drivers/vdpa/virtio_pci/vp_vdpa.c` (Linux 6.1). */
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { VdpaDevice, VdpaMgmtDev, VdpaSymbols } from '@vdpalab/vdpa-core';
import type { VirtioPciModernDevice, VirtioPciModernDevSymbols } from '@vdpalab/virtio-pci-modern-dev';
import { vpVdpaOps } from './ops.ts';
import type { OpsSymbols } from './ops.ts';
import { VpVrings } from './vring.ts';
import type { VringSymbols } from './vring.ts';

/** What making vDPA devices takes. */
export type ManagementSymbols =
  & OpsSymbols & VringSymbols & Pick<VirtioPciModernDevSymbols, 'vp_modern_get_num_queues'>
  & Pick<VdpaSymbols, '__vdpa_alloc_device' | '_vdpa_register_device' | '_vdpa_unregister_device'>
  & Pick<DriverCoreSymbols, 'put_device'>;

/**
 * The management device of one function.
 *
 * More than one vDPA device can be made, all on the same registers: the operations of one are seen by the others.
 */
export function managementOf(k: ManagementSymbols, vp: VirtioPciModernDevice): VdpaMgmtDev {
  const { dev } = vp.pci_dev;
  const made = new Map<VdpaDevice, VpVrings>();

  return {
    device: dev,
    id_table: [vp.id.device],
    config_attr_mask: 0n,
    supported_features: k.vp_modern_get_features(vp),
    max_supported_vqs: k.vp_modern_get_num_queues(vp),
    priv: vp,
    ops: {
      async dev_add(own, name) {
        const vrings = new VpVrings(k, vp, k.vp_modern_get_num_queues(vp));
        try {
          const vdev = await k.__vdpa_alloc_device({
            parent: dev, dma_dev: dev, config: vpVdpaOps(k, vp, vrings), ngroups: 1, nas: 1, name, models: ['virtio', 'vfio', 'vhost'],
            priv: vp,
          });
          vdev.mdev = own;
          try {
            await k._vdpa_register_device(vdev, vrings.vrings.length);
          } catch (error) {
            k.dev_err(dev, 'Failed to register to vdpa bus');
            k.put_device(vdev.dev);
            throw error;
          }
          made.set(vdev, vrings);
        } catch (error) {
          vrings.unmap();
          throw error;
        }
      },
      async dev_del(_, vdev) {
        await k._vdpa_unregister_device(vdev);
        const vrings = made.get(vdev);
        made.delete(vdev);
        await vrings?.freeIrqs(); // of a bus driver that went without a reset
        vrings?.unmap();
      },
    },
  };
}

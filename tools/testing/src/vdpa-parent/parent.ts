/**
 * A vDPA parent made of software, as a module: a management device on a plain device, and a vDPA device for each
 * `vdpa dev add`. It may park in every op that may sleep, and fail in any op that may fail.
 */
import type { ThisModule } from '@vdpalab/abi';
import type { Loadable } from '../kernel/boot.ts';
import { FakeDevice } from './device.ts';
import { FakeCalls, fakeOps } from './ops.ts';
import type { FakeOpsKernel } from './ops.ts';
import { fakeSetup } from './options.ts';
import type { FakeParentOptions } from './options.ts';

/** Symbols as the fake calls them; their full types are in headers above this package. */
interface ParentKernel extends FakeOpsKernel {
  readonly bus_register: (bus: object) => Promise<void>;
  readonly bus_unregister: (bus: object) => Promise<void>;
  readonly device_initialize: (init: { name: string; bus: object | null }) => object;
  readonly device_add: (dev: object) => Promise<void>;
  readonly device_unregister: (dev: object) => Promise<void>;
  readonly iommu_probe_device: (dev: object, rid: number, peer: null) => undefined;
  readonly iommu_release_device: (dev: object) => undefined;
  readonly put_device: (dev: object) => undefined;
  readonly __vdpa_alloc_device: (init: object) => Promise<FakeVdev>;
  readonly _vdpa_register_device: (vdev: FakeVdev, nvqs: number) => Promise<void>;
  readonly _vdpa_unregister_device: (vdev: FakeVdev) => Promise<void>;
  readonly vdpa_put_device: (vdev: FakeVdev) => undefined;
  readonly vdpa_mgmtdev_register: (mdev: object) => Promise<void>;
  readonly vdpa_mgmtdev_unregister: (mdev: object) => Promise<void>;
}

interface FakeVdev {
  readonly dev: { readonly name: string };
  mdev: object | null;
}

/** A fake parent: its module to load, and what a test looks at. */
export interface FakeParent {
  readonly module: Loadable;
  /** Its management device, as `vdpa dev add` names it. */
  readonly handle: string;
  /** Devices that live, by name. */
  readonly devices: ReadonlyMap<string, FakeDevice>;
  readonly calls: FakeCalls;
}

/** Name of the management device, and of the module. */
export const FAKE_PARENT = 'vdpafake';

/** Requester id of its DMA: ff:1f.7, where no function of a machine is. */
const FAKE_RID = 0xffff;

/** Make one. State is the fake's own, so load its module once. */
export function fakeParent(options: FakeParentOptions = {}): FakeParent {
  const setup = fakeSetup(options);
  const devices = new Map<string, FakeDevice>();
  const calls = new FakeCalls();

  async function module_init(k: ParentKernel, { undo }: ThisModule): Promise<object> {
    const bus = setup.bus === undefined ? null : { name: setup.bus };
    if (bus !== null) {
      await k.bus_register(bus);
      undo.push('bus', () => k.bus_unregister(bus));
    }
    const device = k.device_initialize({ name: FAKE_PARENT, bus });
    try {
      await k.device_add(device);
    } catch (error) {
      k.put_device(device);
      throw error;
    }
    undo.push('plain device', () => k.device_unregister(device));
    k.iommu_probe_device(device, FAKE_RID, null); // rings of virtio_vdpa are allocated for it
    undo.push('DMA of the plain device', () => k.iommu_release_device(device));

    const mdev = {
      device, id_table: setup.id_table, config_attr_mask: setup.config_attr_mask, supported_features: setup.features,
      max_supported_vqs: setup.nvqs, priv: null,
      ops: {
        async dev_add(_: object, name: string): Promise<void> {
          const fake = new FakeDevice(setup);
          const vdev = await k.__vdpa_alloc_device({
            parent: null, dma_dev: device, config: fakeOps(k, fake, calls), ngroups: setup.ngroups, nas: setup.nas, name,
            use_va: setup.use_va, priv: fake, ...(setup.models === undefined ? {} : { models: setup.models }),
          });
          vdev.mdev = mdev;
          try {
            await k._vdpa_register_device(vdev, setup.nvqs);
          } catch (error) {
            k.vdpa_put_device(vdev);
            throw error;
          }
          devices.set(vdev.dev.name, fake);
        },
        async dev_del(_: object, vdev: FakeVdev): Promise<void> {
          devices.delete(vdev.dev.name);
          await k._vdpa_unregister_device(vdev);
        },
      },
    };
    await k.vdpa_mgmtdev_register(mdev);
    undo.push('management device', () => k.vdpa_mgmtdev_unregister(mdev));
    return { ksymtab: {}, module_exit: () => undefined };
  }

  return {
    devices, calls,
    handle: setup.bus === undefined ? FAKE_PARENT : `${setup.bus}/${FAKE_PARENT}`,
    module: {
      name: FAKE_PARENT, license: 'GPL v2', description: 'vDPA parent for tests', author: undefined, version: undefined, builtin: false,
      alias: [], softdep: [], params: {}, weakImports: [], importNs: [], exports: [], exportsGpl: [], exportsNs: {},
      imports: [
        'machine', 'vhost_iotlb_itree_first', 'vhost_iotlb_itree_next', 'bus_register', 'bus_unregister', 'device_initialize', 'device_add', 'device_unregister', 'put_device',
        'iommu_probe_device', 'iommu_release_device',
        '__vdpa_alloc_device', '_vdpa_register_device', '_vdpa_unregister_device', 'vdpa_put_device', 'vdpa_mgmtdev_register',
        'vdpa_mgmtdev_unregister',
      ],
      module_init,
    },
  };
}

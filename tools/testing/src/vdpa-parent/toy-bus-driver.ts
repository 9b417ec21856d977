/** A vDPA bus driver that only takes devices: a test works on their operations by hand. */
import type { ThisModule } from '@vdpalab/abi';
import type { Loadable } from '../kernel/boot.ts';

/** Symbols as the driver calls them; their full types are in headers above this package. */
interface BusKernel {
  readonly __vdpa_register_driver: (drv: object) => Promise<void>;
  readonly vdpa_unregister_driver: (drv: object) => Promise<void>;
}

/** A vDPA device as far as its name goes. */
interface Named {
  readonly dev: { readonly name: string };
}

/** The driver's module, and the devices it has by name. */
export interface ToyBusDriver<V> {
  readonly module: Loadable;
  readonly devices: ReadonlyMap<string, V>;
}

/** Make one. @param model what it asks of a parent */
export function toyBusDriver<V extends Named>(model = 'vhost'): ToyBusDriver<V> {
  const devices = new Map<string, V>();

  async function module_init(k: BusKernel, { THIS_MODULE }: ThisModule): Promise<object> {
    const driver = {
      name: 'toy_vdpa', owner: THIS_MODULE, model,
      probe: async (vdev: V): Promise<void> => void devices.set(vdev.dev.name, vdev),
      remove: async (vdev: V): Promise<void> => void devices.delete(vdev.dev.name),
    };
    await k.__vdpa_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.vdpa_unregister_driver(driver) };
  }

  return {
    devices,
    module: {
      name: 'toy_vdpa', license: 'GPL v2', description: 'vDPA bus driver for tests', author: undefined, version: undefined, builtin: false,
      alias: [], softdep: [], params: {}, weakImports: [], importNs: [], exports: [], exportsGpl: [], exportsNs: {},
      imports: ['__vdpa_register_driver', 'vdpa_unregister_driver'],
      module_init,
    },
  };
}

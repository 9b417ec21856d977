/** vDPA devices: allocation, names, the configuration lock. Mirrors `drivers/vdpa/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { BusType, Device, DriverCoreSymbols, Ida } from '@vdpalab/driver-core';
import type { RwSemaphore, SchedSymbols } from '@vdpalab/sched';
import { reset, setFeatures, type Locks } from './config.ts';
import type { VdpaConfigOps, VdpaDevice, VdpaDeviceInit, VdpaMgmtDev, VdpaModel } from './header.ts';

const models: readonly VdpaModel[] = ['virtio', 'vfio', 'vhost'];

/** `struct vdpa_device` with what only the core touches. */
export class VdpaDeviceState implements VdpaDevice {
  /** Set right after construction, by whoever makes the device object around this. */
  dev!: Device;
  readonly #dmaDev: Device | null;
  readonly config: VdpaConfigOps;
  readonly cf_lock: RwSemaphore;
  readonly index: number;
  readonly use_va: boolean;
  readonly ngroups: number;
  readonly nas: number;
  readonly models: ReadonlySet<VdpaModel>;
  readonly priv: unknown;
  features_valid = false;
  nvqs = 0;
  mdev: VdpaMgmtDev | null = null;
  readonly set_features: VdpaDevice['set_features'];
  readonly reset: VdpaDevice['reset'];

  constructor(k: Locks, index: number, init: VdpaDeviceInit, declared: ReadonlySet<VdpaModel>, lock: RwSemaphore) {
    this.set_features = (features) => setFeatures(k, this, features);
    this.reset = (flags = 0) => reset(k, this, flags);
    this.index = index;
    this.#dmaDev = init.dma_dev;
    this.config = init.config;
    this.cf_lock = lock;
    this.use_va = init.use_va ?? false;
    this.ngroups = init.ngroups;
    this.nas = init.nas;
    this.models = declared;
    this.priv = init.priv;
  }

  get dma_type(): 'platform' | 'device' {
    return this.config.set_map === undefined && this.config.dma_map === undefined ? 'platform' : 'device';
  }

  get dma_dev(): Device {
    return this.#dmaDev ?? this.dev;
  }
}

/** The rules of `__vdpa_alloc_device`, and of the models a parent declares. @throws EINVAL */
export function checkInit(init: VdpaDeviceInit): ReadonlySet<VdpaModel> {
  const { config } = init;
  const name = init.name ?? 'vdpa device';
  const refuse = (rule: string, text: string): never => {
    throw new KernelError('EINVAL', `vdpa.alloc.${rule}`, `${name}: ${text}`);
  };
  if (config === undefined || config === null) refuse('ops', 'no operations');
  if ((config.dma_map === undefined) !== (config.dma_unmap === undefined)) {
    refuse('map-pair', config.dma_map === undefined ? 'dma_unmap without dma_map' : 'dma_map without dma_unmap');
  }
  if (init.use_va === true && config.dma_map === undefined && config.set_map === undefined) {
    refuse('use-va', 'user addresses need an address translation of its own: neither set_map nor dma_map');
  }
  const declared = init.models ?? models;
  const unknown = declared.find((model) => !models.includes(model as VdpaModel));
  if (unknown !== undefined) refuse('model', `model "${unknown}" is none of ${models.join(', ')}`);
  if (declared.length === 0) refuse('model', 'no model is declared');
  return new Set(declared as readonly VdpaModel[]); // each was found among them
}

/** What devices take. */
type DeviceSymbols =
  & Pick<DriverCoreSymbols, 'device_initialize' | 'ida_init' | 'ida_alloc_max' | 'ida_free'> & Pick<SchedSymbols, 'init_rwsem'> & Locks;

const INT_MAX = 0x7fff_ffff;

/** All vDPA devices of one kernel, by their bus device. */
export class VdpaDevices {
  readonly #devices = new Map<Device, VdpaDeviceState>();
  readonly #indexes: Ida;
  readonly #k: DeviceSymbols;

  constructor(k: DeviceSymbols) {
    this.#k = k;
    this.#indexes = k.ida_init();
  }

  /** @throws EINVAL, see {@link checkInit} */
  alloc(init: VdpaDeviceInit, bus: BusType): VdpaDeviceState {
    const declared = checkInit(init);
    const index = this.#k.ida_alloc_max(this.#indexes, INT_MAX);
    const name = (init.name ?? `vdpa${index}`).replaceAll('/', '!'); // as kobject_set_name does
    const vdev = new VdpaDeviceState(this.#k, index, init, declared, this.#k.init_rwsem(`cf_lock of ${name}`));
    vdev.dev = this.#k.device_initialize({
      name,
      parent: init.parent,
      bus,
      release: (dev) => {
        this.#devices.delete(dev);
        vdev.config.free?.(vdev);
        this.#k.ida_free(this.#indexes, index);
        return undefined;
      },
    });
    this.#devices.set(vdev.dev, vdev);
    return vdev;
  }

  /** The vDPA device around a bus device. */
  of(dev: Device): VdpaDeviceState {
    const vdev = this.#devices.get(dev);
    if (vdev === undefined) throw new Error(`${dev.name} is no vDPA device`);
    return vdev;
  }

  own(vdev: VdpaDevice): VdpaDeviceState {
    return this.of(vdev.dev);
  }
}

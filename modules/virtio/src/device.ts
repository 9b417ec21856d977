/** One virtio device as the bus keeps it. */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import { VIRTIO_TRANSPORT_F_END, VIRTIO_TRANSPORT_F_START } from '@vdpalab/uapi';
import type { VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';
import type { VirtioConfigOps, VirtioDeviceInit, VirtioDriver } from './header.ts';

/** `struct virtio_device` with what only the bus touches. */
export class VirtioDeviceState implements VirtioDevice {
  readonly index: number;
  readonly id: { readonly device: number; readonly vendor: number };
  readonly config: VirtioConfigOps;
  readonly transport: unknown;
  features = 0n;
  vqs: readonly Virtqueue[] = [];
  priv: unknown = null;
  /** Set right after construction, by whoever makes the device object around this. */
  dev!: Device;
  /** Interrupts about the configuration are held back until a driver is ready for them. */
  #configEnabled = false;
  #configChangePending = false;
  driver: VirtioDriver | null = null;

  constructor(index: number, init: VirtioDeviceInit) {
    this.index = index;
    this.id = init.id;
    this.config = init.config;
    this.transport = init.transport;
  }

  has(bit: number): boolean {
    return (this.features & (1n << BigInt(bit))) !== 0n;
  }

  /** The configuration changed; told to the driver now or when it is ready. */
  configChanged(): Atomic {
    if (this.#configEnabled) this.driver?.config_changed?.(this);
    else this.#configChangePending = true;
    return undefined;
  }

  enableConfig(): Atomic {
    this.#configEnabled = true;
    if (this.#configChangePending) {
      this.#configChangePending = false;
      this.driver?.config_changed?.(this);
    }
    return undefined;
  }

  disableConfig(): Atomic {
    this.#configEnabled = false;
    return undefined;
  }
}

/** What a driver and a device have in common: the driver's bits, and every transport bit, about which the transport has its say later. */
export function commonFeatures(device: bigint, driver: VirtioDriver): bigint {
  let known = driver.feature_table.reduce((bits, bit) => bits | (1n << BigInt(bit)), 0n);
  for (let bit = VIRTIO_TRANSPORT_F_START; bit < VIRTIO_TRANSPORT_F_END; bit++) known |= 1n << BigInt(bit);
  return device & known;
}

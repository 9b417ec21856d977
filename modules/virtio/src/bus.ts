/** The bus type: matching, probing, attributes. Mirrors `drivers/virtio/virtio.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Attribute, BusType, Device, DeviceDriver, DriverCoreSymbols } from '@vdpalab/driver-core';
import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_VERSION_1,
} from '@vdpalab/uapi';
import { commonFeatures, type VirtioDeviceState } from './device.ts';
import type { VirtioDriver } from './header.ts';

const hex = (n: number, digits: number): string => `0x${n.toString(16).padStart(digits, '0')}`;
const ID = (n: number): string => n.toString(16).toUpperCase().padStart(8, '0');

/** `virtio:d00000001v00001AF4` */
export const modalias = (id: { readonly device: number; readonly vendor: number }): string => `virtio:d${ID(id.device)}v${ID(id.vendor)}`;

export async function addStatus(vdev: VirtioDeviceState, status: number): Promise<void> {
  await vdev.config.set_status(vdev, (await vdev.config.get_status(vdev)) | status);
}

/** @throws Error (a lab bug) when the driver is ready already */
export async function deviceReady(vdev: VirtioDeviceState): Promise<void> {
  const status = await vdev.config.get_status(vdev);
  if ((status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0) throw new Error(`${vdev.dev.name}: DRIVER_OK is set already`);
  await vdev.config.set_status(vdev, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

/** Whether the id table names the device. */
export function idMatch(vdev: VirtioDeviceState, drv: VirtioDriver): boolean {
  return drv.id_table.some((id) => id.device === vdev.id.device && (id.vendor === null || id.vendor === vdev.id.vendor));
}

/** Tell the device that features are settled, and see whether it agrees. @throws ENODEV when it refuses */
async function featuresOk(k: Pick<DriverCoreSymbols, 'dev_err'>, vdev: VirtioDeviceState): Promise<void> {
  if (!vdev.has(VIRTIO_F_VERSION_1)) return;
  await addStatus(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
  const status = await vdev.config.get_status(vdev);
  if ((status & VIRTIO_CONFIG_S_FEATURES_OK) === 0) {
    k.dev_err(vdev.dev, `virtio: device refuses features: ${status.toString(16)}`);
    throw new KernelError('ENODEV', 'virtio.probe.features', `${vdev.dev.name}: status ${hex(status, 2)} after FEATURES_OK`);
  }
}

async function negotiate(k: Pick<DriverCoreSymbols, 'dev_err'>, vdev: VirtioDeviceState, drv: VirtioDriver): Promise<void> {
  vdev.features = commonFeatures(await vdev.config.get_features(vdev), drv);
  await vdev.config.finalize_features(vdev);
  if (drv.validate !== undefined) {
    const before = vdev.features;
    await drv.validate(vdev);
    if (vdev.features !== before) await vdev.config.finalize_features(vdev);
  }
  await featuresOk(k, vdev);
}

/** `virtio_dev_probe`: any failure leaves FAILED in the status. */
export async function probe(k: Pick<DriverCoreSymbols, 'dev_err'>, vdev: VirtioDeviceState, drv: VirtioDriver): Promise<void> {
  vdev.driver = drv;
  try {
    await addStatus(vdev, VIRTIO_CONFIG_S_DRIVER);
    await negotiate(k, vdev, drv);
    await drv.probe(vdev);
    if (((await vdev.config.get_status(vdev)) & VIRTIO_CONFIG_S_DRIVER_OK) === 0) await deviceReady(vdev);
    await drv.scan?.(vdev);
  } catch (error) {
    vdev.driver = null;
    await addStatus(vdev, VIRTIO_CONFIG_S_FAILED);
    throw error;
  }
  vdev.enableConfig();
}

/** `virtio_dev_remove`: the driver resets the device; the bus acknowledges it anew. */
export async function remove(vdev: VirtioDeviceState): Promise<void> {
  vdev.disableConfig();
  await vdev.driver?.remove(vdev);
  vdev.driver = null;
  await addStatus(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

/** Files of a device's directory. */
export function deviceAttributes(of: (dev: Device) => VirtioDeviceState): Attribute<Device>[] {
  const file = (name: string, show: (vdev: VirtioDeviceState) => Promise<string> | string): Attribute<Device> => ({
    name, mode: 0o444, show: async (dev) => `${await show(of(dev))}\n`,
  });
  return [
    file('device', (v) => hex(v.id.device, 4)),
    file('vendor', (v) => hex(v.id.vendor, 4)),
    file('status', async (v) => hex(await v.config.get_status(v), 8)),
    file('modalias', (v) => modalias(v.id)),
    file('features', (v) => Array.from({ length: 64 }, (_, bit) => (v.has(bit) ? '1' : '0')).join('')),
  ];
}

/** The bus, over the devices and drivers the module keeps. */
export function virtioBus(
  k: Pick<DriverCoreSymbols, 'dev_err'>,
  of: (dev: Device) => VirtioDeviceState,
  driverOf: (drv: DeviceDriver) => VirtioDriver,
): BusType {
  return {
    name: 'virtio',
    match: (dev, drv) => idMatch(of(dev), driverOf(drv)),
    uevent: (dev) => [`MODALIAS=${modalias(of(dev).id)}`],
    probe: async (dev) => {
      if (dev.driver === null) throw new Error(`${dev.name}: probed without a driver`);
      await probe(k, of(dev), driverOf(dev.driver));
    },
    remove: (dev) => remove(of(dev)),
    dev_groups: [{ attrs: deviceAttributes(of) }],
  };
}

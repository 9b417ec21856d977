/** Devices meet drivers: match, probe, bind, unbind. Mirrors `drivers/base/dd.c` (Linux 6.1). */
import { KernelError, foldError, isKernelError } from '@vdpalab/abi';
import { ERRNO } from '@vdpalab/uapi';
import { busNotify } from './bus-device.ts';
import { deviceUevent } from './device-uevent.ts';
import type { Device, DeviceDriver } from './header.ts';
import { KERN } from './kernel.ts';
import { devPrintk } from './printk.ts';
import { busState, deviceState, driverState } from './state.ts';
import type { Core, DeviceState } from './state.ts';
import { Steps, runAll } from './steps.ts';

/**
 * Why a driver did not get a device. `probe`: its probe refused, and the next driver may try. `before`: it never got so
 * far (dead, bound, its DMA is owned by user space), and nobody else tries either.
 */
interface Refusal {
  readonly stage: 'before' | 'probe';
  readonly error: KernelError;
}

/** Whether the driver can take the device: by its override where one is set, else by the bus's word. */
export function driverMatchDevice(drv: DeviceDriver, dev: Device): boolean {
  if (drv.bus.driver_override === true && dev.driver_override !== null && dev.driver_override !== drv.name) return false;
  return drv.bus.match?.(dev, drv) ?? true;
}

/** Try every driver of the bus, oldest first. @returns whether the device is bound now @throws what refused before a probe */
export async function deviceAttach(core: Core, dev: Device): Promise<boolean> {
  if (dev.bus === null) return false;
  const { drivers } = busState(core, dev.bus);
  await core.k.mutex_lock(dev.lock, '__device_attach');
  try {
    if (dev.dead) return false;
    if (dev.driver !== null) return true;
    return await drivers.walk(async (drv) => {
      if (!driverMatchDevice(drv, dev)) return false;
      const refusal = await driverProbeDevice(core, drv, dev);
      if (refusal === null) return true;
      if (refusal.stage === 'before') throw refusal.error;
      return false;
    });
  } finally {
    core.k.mutex_unlock(dev.lock);
  }
}

/** As {@link deviceAttach}, for callers that do not care why nobody took the device. */
export async function deviceInitialProbe(core: Core, dev: Device): Promise<void> {
  try {
    await deviceAttach(core, dev);
  } catch (error) {
    if (!isKernelError(error)) throw error;
  }
}

/** Offer a driver every device of its bus. */
export async function driverAttach(core: Core, drv: DeviceDriver): Promise<void> {
  await busState(core, drv.bus).devices.walk(async (dev) => {
    if (!driverMatchDevice(drv, dev)) return false;
    await core.k.mutex_lock(dev.lock, '__driver_attach');
    try {
      await driverProbeDevice(core, drv, dev);
    } finally {
      core.k.mutex_unlock(dev.lock);
    }
    return false;
  });
}

/**
 * Bind a device to this driver and no other.
 *
 * @throws ENODEV for a dead device; EBUSY for a bound one; EAGAIN when the probe wants to be asked later; the probe's errno
 */
export async function deviceDriverAttach(core: Core, drv: DeviceDriver, dev: Device): Promise<void> {
  await core.k.mutex_lock(dev.lock, 'device_driver_attach');
  try {
    const refusal = await probeUnlessTaken(core, drv, dev);
    if (refusal === null) return;
    if (refusal.error.errno !== 'EPROBE_DEFER') throw refusal.error;
    throw foldError('EAGAIN', 'driver.attach.deferred', `${dev.name}: ${drv.name} asks to be probed later`, refusal.error);
  } finally {
    core.k.mutex_unlock(dev.lock);
  }
}

/** Unbind a device from this driver, or from whichever has it. */
export async function deviceReleaseDriver(core: Core, dev: Device, drv?: DeviceDriver): Promise<void> {
  await core.k.mutex_lock(dev.lock, 'device_release_driver_internal');
  try {
    const bound = dev.driver;
    if (bound !== null && (drv === undefined || drv === bound)) await releaseDriver(core, dev, bound);
  } finally {
    core.k.mutex_unlock(dev.lock);
  }
}

/** Unbind every device of a driver, the one bound last first. */
export async function driverDetach(core: Core, drv: DeviceDriver): Promise<void> {
  const { devices } = driverState(core, drv);
  while (devices.size > 0) for (const dev of devices.items().reverse()) await deviceReleaseDriver(core, dev, drv);
}

/** Probe; a probe that wants to be asked later is put on the deferred list. */
async function driverProbeDevice(core: Core, drv: DeviceDriver, dev: Device): Promise<Refusal | null> {
  const triggers = core.deferred.triggers();
  const refusal = await probeUnlessTaken(core, drv, dev);
  if (refusal?.error.errno === 'EPROBE_DEFER') {
    core.deferred.add(dev);
    if (triggers !== core.deferred.triggers()) core.deferred.trigger(); // what it waits for may have come meanwhile
  }
  return refusal;
}

async function probeUnlessTaken(core: Core, drv: DeviceDriver, dev: Device): Promise<Refusal | null> {
  const before = (errno: 'ENODEV' | 'EBUSY', rule: string, text: string): Refusal =>
    ({ stage: 'before', error: new KernelError(errno, rule, text) });
  if (dev.dead || !core.added.has(dev)) return before('ENODEV', 'driver.probe.dead', `${dev.name}: not registered`);
  if (dev.driver !== null) return before('EBUSY', 'driver.probe.bound', `${dev.name}: bound to ${dev.driver.name}`);
  const { devres } = deviceState(core, dev);
  if (devres.size > 0) {
    devPrintk(core.k, KERN.crit, dev, 'Resources present before probing');
    return before('EBUSY', 'driver.probe.devres', `${dev.name}: holds ${devres.held.join(', ')}`);
  }
  return await reallyProbe(core, drv, deviceState(core, dev));
}

/** What it acquires is undone in reverse when it fails. The caller holds the device's lock. */
async function reallyProbe(core: Core, drv: DeviceDriver, state: DeviceState): Promise<Refusal | null> {
  const { dev } = state;
  const { bus } = drv;
  const steps = new Steps();
  let stage: Refusal['stage'] = 'before';
  dev.driver = drv;
  steps.did('driver', () => unbindCleanup(state));
  try {
    await bus.dma_configure?.(dev);
    steps.did('dma', async () => {
      await busNotify(core, dev, 'DRIVER_NOT_BOUND');
      await bus.dma_cleanup?.(dev);
    });
    await busNotify(core, dev, 'BIND_DRIVER');
    driverSysfsAdd(core, state, drv);
    steps.did('links', () => driverSysfsRemove(core, dev, drv));
    stage = 'probe';
    await (bus.probe ?? drv.probe)?.(dev);
    stage = 'before';
    steps.did('probe', () => callRemove(drv, dev));
    driverGroupsAdd(state, drv);
  } catch (error) {
    await steps.undoAll();
    if (!isKernelError(error)) throw error; // not a refusal but a mistake in the driver
    if (stage === 'probe') logRefusal(core, drv, dev, error);
    core.k.note_refusal?.('probe', error);
    return { stage, error };
  }
  await driverBound(core, dev, drv);
  return null;
}

async function driverBound(core: Core, dev: Device, drv: DeviceDriver): Promise<void> {
  driverState(core, drv).devices.add(dev);
  core.deferred.del(dev);
  core.deferred.trigger();
  await busNotify(core, dev, 'BOUND_DRIVER');
  deviceUevent(core, dev, 'bind');
}

/** `__device_release_driver`: the caller holds the device's lock. */
async function releaseDriver(core: Core, dev: Device, drv: DeviceDriver): Promise<void> {
  const state = deviceState(core, dev);
  await runAll([
    () => driverSysfsRemove(core, dev, drv),
    () => busNotify(core, dev, 'UNBIND_DRIVER'),
    () => state.driverSteps.undoAll(),
    () => callRemove(drv, dev),
    () => drv.bus.dma_cleanup?.(dev),
    () => unbindCleanup(state),
    () => driverState(core, drv).devices.remove(dev),
    () => busNotify(core, dev, 'UNBOUND_DRIVER'),
    () => deviceUevent(core, dev, 'unbind'),
  ]);
}

async function callRemove(drv: DeviceDriver, dev: Device): Promise<void> {
  await (drv.bus.remove ?? drv.remove)?.(dev);
}

async function unbindCleanup(state: DeviceState): Promise<void> {
  const { dev, devres } = state;
  try {
    await devres.run();
  } finally {
    dev.driver = null;
    dev.driver_data = null;
  }
}

/** Links between device and driver. */
function driverSysfsAdd(core: Core, state: DeviceState, drv: DeviceDriver): void {
  const { dev } = state;
  const { dir } = driverState(core, drv);
  if (dev.sd === null) throw new Error(`device ${dev.name}: probed while not in sysfs`);
  try {
    core.k.kernfs_create_link(dir, dev.name, dev.sd);
    core.k.kernfs_create_link(dev.sd, 'driver', dir);
  } catch (error) {
    driverSysfsRemove(core, dev, drv);
    core.k._printk(KERN.err, `really_probe: driver_sysfs_add(${dev.name}) failed`);
    throw error;
  }
}

function driverSysfsRemove(core: Core, dev: Device, drv: DeviceDriver): void {
  core.k.kernfs_remove_by_name(driverState(core, drv).dir, dev.name);
  if (dev.sd !== null) core.k.kernfs_remove_by_name(dev.sd, 'driver');
}

/** Attributes the device has while the driver has it. */
function driverGroupsAdd(state: DeviceState, drv: DeviceDriver): void {
  const { dev, files } = state;
  if (drv.dev_groups === undefined || dev.sd === null) return;
  const remove = files.groups(dev.sd, drv.dev_groups, dev);
  state.driverSteps.did('dev_groups', async () => {
    remove();
    await files.drain();
  });
}

/** ENODEV and ENXIO reject the match and EPROBE_DEFER puts it off, silently; all else is a failure worth a line. */
function logRefusal(core: Core, drv: DeviceDriver, dev: Device, error: KernelError): void {
  if (error.errno === 'EPROBE_DEFER' || error.errno === 'ENODEV' || error.errno === 'ENXIO') return;
  core.k._printk(KERN.warning, `${drv.name}: probe of ${dev.name} failed with error ${-ERRNO[error.errno]}`);
}

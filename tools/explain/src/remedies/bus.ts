/** What would have bound or found the device. */
import type { KernelError } from '@vdpalab/abi';
import type { LabView } from '../view.ts';
import type { Remedies, Remedy } from './index.ts';
import { listed, nearest, subject } from './near.ts';

/** Devices that a name on a bus could have meant. */
const existing = (bus: RegExp): Remedy => (error: KernelError, view: LabView) => {
  const asked = (/"([^]*?)"/.exec(error.message)?.[1] ?? '').trim();
  const where = bus.exec(error.message)?.[1] ?? '';
  const driver = view.devices().find((d) => d.driver === where);
  const devices = view.devices().filter((d) => d.bus === where || (driver !== undefined && d.bus === driver.bus));
  const all = devices.length > 0 ? devices : view.devices().filter((d) => view.drivers(d.bus).includes(where));
  const meant = nearest(asked, all.map((d) => d.name));
  if (meant !== null) return `write ${meant}`;
  return all.length === 0 ? 'make a device first: the bus has none yet' : `write one of ${listed(all.map((d) => d.name), '')}`;
};

export const busRemedies: Remedies = {
  'bus.drivers_probe.device': existing(/^bus (\S+):/),
  'driver.bind.device': existing(/^driver (\S+):/),
  'driver.name.device': existing(/^driver (\S+):/),
  'driver.unbind.device': (error, view) => {
    const driver = /^driver (\S+):/.exec(error.message)?.[1] ?? '';
    const bound = view.devices().filter((d) => d.driver === driver).map((d) => d.name);
    return bound.length === 0 ? `nothing: ${driver} has no device` : `write one of ${listed(bound, '')}`;
  },
  'driver.probe.bound': (error, view) => {
    const name = subject(error.message);
    const device = view.devices().find((d) => d.name === name);
    if (device?.driver === null || device === undefined) return null;
    return `echo ${name} > /sys/bus/${device.bus}/drivers/${device.driver}/unbind`;
  },
  'netdev.name.up': (error) => `ip link set ${/^(\S+) is up/.exec(error.message)?.[1] ?? 'NAME'} down`,
  'rtnetlink.link.absent': (_error, view) => `name one of ${listed(view.interfaces(), 'none: no interface is there yet')}`,
  'packet.send.down': (error) => `ip link set ${/^(\S+) is down/.exec(error.message)?.[1] ?? 'NAME'} up`,
  'netdev.xmit.down': (error) => `ip link set ${/^(\S+) is down/.exec(error.message)?.[1] ?? 'NAME'} up`,
};

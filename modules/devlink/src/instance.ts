/** Instances, and which of them requests may see. Mirrors `net/core/devlink.c` (Linux 6.1), its first part. */
import { KernelError } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { NetDevice } from '@vdpalab/netdev';
import type { NlAttrs } from '@vdpalab/netlink';
import type { Mutex, WaitQueue } from '@vdpalab/sched';
import { DEVLINK_ATTR_BUS_NAME, DEVLINK_ATTR_DEV_NAME, DEVLINK_ATTR_PORT_INDEX, DEVLINK_PORT_TYPE_NOTSET } from '@vdpalab/uapi';
import type { Devlink, DevlinkOps, DevlinkParam, DevlinkParamValue, DevlinkPort, DevlinkPortAttrs, DevlinkPortInit } from './header.ts';

/** `struct devlink_port` with what only devlink touches. */
export class Port implements DevlinkPort {
  readonly devlink: Instance;
  readonly index: number;
  readonly attrs: DevlinkPortAttrs;
  readonly priv: unknown;
  /** DEVLINK_PORT_TYPE_* */
  type: number = DEVLINK_PORT_TYPE_NOTSET;
  desiredType: number = DEVLINK_PORT_TYPE_NOTSET;
  netdev: NetDevice | null = null;

  constructor(devlink: Instance, index: number, { attrs, priv }: DevlinkPortInit) {
    this.devlink = devlink;
    this.index = index;
    this.attrs = attrs;
    this.priv = priv;
  }
}

/** `struct devlink_param_item` */
export interface ParamItem {
  readonly param: DevlinkParam;
  /** What the next `reload_up` goes by; null before it was ever set. */
  driverinit: DevlinkParamValue | null;
}

/** `struct devlink` */
export class Instance implements Devlink {
  readonly dev: Device;
  readonly ops: DevlinkOps;
  readonly priv: unknown;
  readonly lock: Mutex;
  /** In the order of their registration. */
  readonly ports = new Map<number, Port>();
  readonly params = new Map<string, ParamItem>();
  /** Reloads done, by {@link statKey}. */
  readonly reloads = new Map<string, number>();
  registered = false;
  /** `DEVLINK_F_RELOAD` */
  mayReload = false;
  reloadFailed = false;
  /** Requests that use it. */
  users = 0;
  /** Woken when the last of them is done. */
  readonly unused: WaitQueue;

  constructor(dev: Device, ops: DevlinkOps, priv: unknown, lock: Mutex, unused: WaitQueue) {
    this.dev = dev;
    this.ops = ops;
    this.priv = priv;
    this.lock = lock;
    this.unused = unused;
  }

  /** `pci/0000:03:00.0`, as user space names it. */
  get handle(): string {
    return `${this.busName}/${this.dev.name}`;
  }

  /** Devices of no bus have no handle in Linux either; they are never asked for. */
  get busName(): string {
    return this.dev.bus?.name ?? '';
  }
}

/** The registered instance a request names. @throws EINVAL ENODEV @see `devlink_get_from_attrs` */
export function fromAttrs(instances: Iterable<Instance>, attrs: NlAttrs): Instance {
  if (!attrs.has(DEVLINK_ATTR_BUS_NAME) || !attrs.has(DEVLINK_ATTR_DEV_NAME)) {
    throw new KernelError('EINVAL', 'devlink.request.handle', 'a devlink request without bus and device');
  }
  const [bus, name] = [attrs.string(DEVLINK_ATTR_BUS_NAME), attrs.string(DEVLINK_ATTR_DEV_NAME)];
  for (const instance of instances) {
    if (instance.registered && instance.busName === bus && instance.dev.name === name) return instance;
  }
  throw new KernelError('ENODEV', 'devlink.request.device', `${bus}/${name}: no devlink instance`);
}

/** The port a request names. @throws EINVAL ENODEV @see `devlink_port_get_from_attrs` */
export function portFromAttrs(instance: Instance, attrs: NlAttrs): Port {
  if (!attrs.has(DEVLINK_ATTR_PORT_INDEX)) throw new KernelError('EINVAL', 'devlink.request.port', `${instance.handle}: no port index`);
  const index = attrs.u32(DEVLINK_ATTR_PORT_INDEX);
  const port = instance.ports.get(index);
  if (port === undefined) throw new KernelError('ENODEV', 'devlink.request.port', `${instance.handle}: no port ${index}`);
  return port;
}

/** A refusal with the text iproute2 prints behind `Error: `. */
export function refuse(errno: 'EINVAL' | 'EOPNOTSUPP', rule: string, text: string, subject: string): KernelError {
  return new KernelError(errno, `devlink.${rule}`, `${subject}: ${text}`, { extack: `devlink: ${text}` });
}

/** An op the driver has not. */
export function unsupported(instance: Instance, op: string): KernelError {
  return new KernelError('EOPNOTSUPP', `devlink.op.${op}`, `${instance.handle}: its driver has no ${op}`);
}

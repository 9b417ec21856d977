/** All instances, their locks, and who is told of what becomes of them. Mirrors `net/core/devlink.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { GenlFamily, NlAttrs } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import { fromAttrs, Instance } from './instance.ts';
import type { Devlink, DevlinkSymbols } from './header.ts';
import type { ParamItem, Port } from './instance.ts';
import type { Kernel } from './kernel.ts';
import { instanceMessage, paramMessage, portMessage } from './messages.ts';
import type { Fill } from './messages.ts';

/** The instances of one kernel. */
export class Devlinks {
  readonly #k: Kernel;
  readonly #all = new Set<Instance>();
  /** Whose group hears notifications; set when it is registered. */
  family: GenlFamily | null = null;

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Oldest first. */
  get all(): readonly Instance[] {
    return [...this.#all];
  }

  of(devlink: Devlink): Instance {
    if (!(devlink instanceof Instance) || !this.#all.has(devlink)) throw new Error(`${devlink.dev.name}: no devlink instance of this kernel`);
    return devlink;
  }

  /** Run with the lock held. @param wchan as of `mutex_lock` */
  async locked<T>(instance: Instance, body: () => Promise<T>, wchan = 'devl_lock'): Promise<T> {
    await this.#k.mutex_lock(instance.lock, wchan);
    try {
      return await body();
    } finally {
      this.#k.mutex_unlock(instance.lock);
    }
  }

  /** Run a request on the instance it names: kept from going, and locked. @throws EINVAL ENODEV */
  async request<T>(attrs: NlAttrs, body: (instance: Instance) => Promise<T>): Promise<T> {
    return await this.#using(fromAttrs(this.#all, attrs), body);
  }

  /** Run a dump on every registered instance in turn. */
  async each(body: (instance: Instance) => Promise<void>): Promise<void> {
    for (const instance of this.all) if (instance.registered) await this.#using(instance, body);
  }

  async #using<T>(instance: Instance, body: (instance: Instance) => Promise<T>): Promise<T> {
    instance.users++;
    try {
      return await this.locked(instance, () => body(instance), 'devlink_nl_pre_doit');
    } finally {
      instance.users--;
      if (instance.users === 0) this.#k.wake_up(instance.unused);
    }
  }

  notify(instance: Instance, cmd: number, fill: Fill): Atomic {
    if (!instance.registered || this.family === null) return;
    return this.#k.genlmsg_multicast(this.family, uapi.DEVLINK_GENL_MCGRP_CONFIG_NAME, cmd, fill);
  }

  /** What cannot be told is not told. */
  async notifyPort(port: Port, cmd: number): Promise<void> {
    await this.#told(port.devlink, cmd, () => portMessage(port));
  }

  async notifyParam(instance: Instance, item: ParamItem, cmd: number): Promise<void> {
    await this.#told(instance, cmd, () => paramMessage(instance, item));
  }

  async #told(instance: Instance, cmd: number, message: () => Promise<Fill>): Promise<void> {
    if (!instance.registered) return;
    try {
      this.notify(instance, cmd, await message());
    } catch (error) {
      if (!isKernelError(error)) throw error;
    }
  }

  /** The symbols about instances as such. */
  symbols(): Pick<DevlinkSymbols, 'devlink_alloc_ns' | 'devlink_free' | 'devlink_register' | 'devlink_unregister' | 'devlink_set_features'
  | 'devl_lock' | 'devl_unlock' | 'devl_assert_locked' | 'devlink_leftovers'> {
    const k = this.#k;
    return {
      devlink_alloc_ns: (ops, priv, dev) => {
        // `devlink_reload_actions_valid`
        const pair = ops.reload_down !== undefined && ops.reload_up !== undefined;
        if (pair ? (ops.reload_actions ?? 0) === 0 : ops.reload_down !== undefined || ops.reload_up !== undefined || (ops.reload_actions ?? 0) !== 0) {
          throw new KernelError('EINVAL', 'devlink.alloc.reload', `${dev.name}: reload_down, reload_up and reload_actions are given together or not at all`);
        }
        const instance = new Instance(k.get_device(dev), ops, priv, k.mutex_init(`devlink of ${dev.name}`), k.init_waitqueue_head(`devlink of ${dev.name}`));
        this.#all.add(instance);
        return instance;
      },
      devlink_free: (devlink): Atomic => {
        const instance = this.of(devlink);
        const left = [instance.registered ? 'its registration' : '', ...leftIn(instance)].filter((what) => what !== '');
        if (left.length > 0) throw new Error(`devlink ${instance.handle}: freed with ${left.join(', ')}`);
        this.#all.delete(instance);
        return k.put_device(instance.dev);
      },
      devlink_register: async (devlink) => {
        const instance = this.of(devlink);
        if (instance.registered) throw new Error(`devlink ${instance.handle}: registered twice`);
        instance.registered = true;
        this.notify(instance, uapi.DEVLINK_CMD_NEW, instanceMessage(instance));
        for (const port of instance.ports.values()) await this.notifyPort(port, uapi.DEVLINK_CMD_PORT_NEW);
        for (const item of instance.params.values()) await this.notifyParam(instance, item, uapi.DEVLINK_CMD_PARAM_NEW);
      },
      devlink_unregister: async (devlink) => {
        const instance = this.of(devlink);
        if (!instance.registered) throw new Error(`devlink ${instance.handle}: unregistered, but not registered`);
        await k.wait_event(instance.unused, () => instance.users === 0, `requests to devlink ${instance.handle}`, () => (instance.lock.owner === null ? [] : [instance.lock.owner]), 'devlink_unregister');
        for (const item of [...instance.params.values()].toReversed()) await this.notifyParam(instance, item, uapi.DEVLINK_CMD_PARAM_DEL);
        for (const port of [...instance.ports.values()].toReversed()) await this.notifyPort(port, uapi.DEVLINK_CMD_PORT_DEL);
        this.notify(instance, uapi.DEVLINK_CMD_DEL, instanceMessage(instance));
        instance.registered = false;
      },
      devlink_set_features: (devlink, { reload }): Atomic => {
        const instance = this.of(devlink);
        if (instance.registered) throw new Error(`devlink ${instance.handle}: features set after registration`);
        if (reload && instance.ops.reload_up === undefined) throw new Error(`devlink ${instance.handle}: reload without its ops`);
        instance.mayReload = reload;
      },
      devl_lock: (devlink) => k.mutex_lock(this.of(devlink).lock, 'devl_lock'),
      devl_unlock: (devlink) => k.mutex_unlock(this.of(devlink).lock),
      devl_assert_locked: (devlink) => this.assertLocked(this.of(devlink)),
      devlink_leftovers: () => this.all.flatMap((instance) => [`devlink ${instance.handle}`, ...leftIn(instance).map((what) => `${what} of devlink ${instance.handle}`)]),
    };
  }

  assertLocked(instance: Instance): Atomic {
    if (instance.lock.owner !== this.#k.current_task()) throw new Error(`devlink ${instance.handle}: its lock is not held`);
  }
}

function leftIn({ ports, params }: Instance): string[] {
  return [...[...ports.keys()].map((index) => `port ${index}`), ...[...params.keys()].map((name) => `parameter ${name}`)];
}

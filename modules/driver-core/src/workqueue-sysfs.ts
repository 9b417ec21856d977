/** Work queues that show themselves in sysfs. Mirrors `workqueue_sysfs_register` in `kernel/workqueue.c` (Linux 6.1). */
import type { Workqueue } from '@vdpalab/sched';
import { busRegister } from './bus.ts';
import { deviceAdd, deviceDel, deviceInitialize, putDevice } from './device.ts';
import { createDirectory } from './directory.ts';
import { virtualDirectory } from './class.ts';
import type { AttributeGroup, BusType, Device, WorkqueueTraits } from './header.ts';
import { busState } from './state.ts';
import type { Core } from './state.ts';

/** What `WQ_SYSFS` shows of one queue; only reading is modelled, since the scheduler has no processors to choose from. */
function attributes({ unbound, max_active, nice }: WorkqueueTraits): AttributeGroup<Device> {
  const file = (name: string, mode: number, text: string) => ({ name, mode, show: async () => `${text}\n` });
  return {
    attrs: [
      file('per_cpu', 0o444, unbound ? '0' : '1'), file('max_active', 0o444, String(max_active)),
      ...(unbound ? [file('nice', 0o444, String(nice)), file('cpumask', 0o444, '1'), file('numa', 0o444, '0')] : []),
    ],
  };
}

/** `subsys_virtual_register`: the bus `workqueue`, whose devices live below /sys/devices/virtual/workqueue. */
export class WorkqueueSysfs {
  readonly #core: Core;
  readonly #bus: BusType = { name: 'workqueue' };
  readonly #devices = new Map<Workqueue, Device>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Make the bus and its root, as the kernel does early in its boot. */
  async init(): Promise<void> {
    await busRegister(this.#core, this.#bus);
    busState(this.#core, this.#bus).root = createDirectory(this.#core, virtualDirectory(this.#core), this.#bus.name);
  }

  /** @throws EEXIST when another queue of that name is shown */
  async register(wq: Workqueue, traits: WorkqueueTraits): Promise<void> {
    const dev = deviceInitialize(this.#core, { name: wq.name, bus: this.#bus, groups: [attributes(traits)] });
    try {
      await deviceAdd(this.#core, dev);
    } catch (error) {
      putDevice(this.#core, dev);
      throw error;
    }
    this.#devices.set(wq, dev);
  }

  async unregister(wq: Workqueue): Promise<void> {
    const dev = this.#devices.get(wq);
    if (dev === undefined) return;
    this.#devices.delete(wq);
    await deviceDel(this.#core, dev);
    putDevice(this.#core, dev);
  }
}

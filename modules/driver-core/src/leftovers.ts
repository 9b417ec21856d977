/** What remains in the driver core, for leak reports. */
import type { ModuleEvent } from '@vdpalab/abi';
import { MISC_CLASS } from './misc.ts';
import { devpath } from './state.ts';
import type { Core } from './state.ts';

/** References of a device that is in sysfs and nobody else holds: its maker's and device_add's. */
const OWN_REFERENCES = 2;

/** Everything there is: buses, classes, drivers, devices, references, resources, probes that wait. */
export function inventory(core: Core): string[] {
  const buses = [...core.buses].filter(([, { root }]) => root === null); // one with a root is the core's own
  const lines = buses.map(([bus]) => `bus ${bus.name}`);
  for (const cls of core.classes.keys()) if (cls !== MISC_CLASS) lines.push(`class ${cls.name}`);
  for (const drv of core.drivers.keys()) lines.push(`driver ${drv.bus.name}:${drv.name}`);
  for (const [dev, { devres, children }] of core.devices) {
    const where = dev.sd === null ? `device ${dev.name} (not in sysfs)` : `device ${devpath(core, dev.sd)}`;
    const held = dev.refcount - (core.added.has(dev) ? OWN_REFERENCES + children.size : 0);
    lines.push(held > 0 ? `${where}: ${held} references` : where);
    if (dev.driver === null) lines.push(...devres.held.map((what) => `${where}: resource ${what}`));
  }
  return lines;
}

/** Reports what was not there when the first module that is not part of the kernel image came. */
export class Leftovers {
  readonly #core: Core;
  readonly #waiting: () => readonly { name: string }[];
  #builtin: ReadonlySet<string> | null = null;

  /** @param waiting devices on the deferred probe lists */
  constructor(core: Core, waiting: () => readonly { name: string }[]) {
    this.#core = core;
    this.#waiting = waiting;
  }

  /** Follow one event of the loader. */
  notify(event: ModuleEvent): undefined {
    if (event.action === 'coming' && !event.module.builtin) this.#builtin ??= new Set(inventory(this.#core));
  }

  report(): string[] {
    const known = this.#builtin ?? new Set();
    return [...inventory(this.#core).filter((line) => !known.has(line)), ...this.#waiting().map((dev) => `deferred probe of ${dev.name}`)];
  }
}

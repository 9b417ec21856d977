/** What loads for a device by itself, and which modules could drive it. */
import type { ModInfo } from '@vdpalab/abi';
import type { Program } from '../program.ts';
import { refusedWith } from '../system.ts';

/** A device as its directory in sysfs shows it. */
export interface DeviceFacts {
  readonly name: string;
  readonly bus: string;
  /** What user space is to load a module by; null for a bus that has no such thing. */
  readonly modalias: string | null;
  /** Name of the driver that has it. */
  readonly driver: string | null;
}

/** The last name of a path. */
const basename = (path: string): string => path.replace(/\/+$/, '').split('/').at(-1) ?? '';

/** What a call gives, or `null` where there is nothing of that name. */
async function orNull(call: Promise<string>): Promise<string | null> {
  try {
    return await call;
  } catch (error) {
    if (refusedWith(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) return null;
    throw error;
  }
}

/** @returns `null` when the path is no device's directory */
export async function deviceFacts(c: Program, path: string): Promise<DeviceFacts | null> {
  const subsystem = await orNull(c.p.readlink(`${path}/subsystem`));
  if (subsystem === null) return null;
  const driver = await orNull(c.p.readlink(`${path}/driver`));
  return {
    name: basename(path),
    bus: basename(subsystem),
    modalias: (await orNull(c.p.readFile(`${path}/modalias`)))?.trim() ?? null,
    driver: driver === null ? null : basename(driver),
  };
}

/** Modules that register drivers on a bus: those that import its `register_driver`. */
export function driversOf(bus: string, modules: readonly ModInfo[]): string[] {
  const registers = new Set([`__${bus}_register_driver`, `${bus}_register_driver`, `register_${bus}_driver`]);
  return modules.filter((m) => m.imports.some((i) => registers.has(i.name))).map((m) => m.name);
}

/** One line for each thing to know of a device that loads nothing. */
export function unloadedText({ name, bus, driver }: DeviceFacts, drivers: readonly string[], loaded: ReadonlySet<string>): string {
  const line = (kind: string, what: string, why: string): string => `${kind.padEnd(8)} ${what.padEnd(16)} ${why}\n`;
  return line('nothing', name, `has no modalias: bus ${bus} lets no module be loaded for its devices`)
    + drivers.map((module) => line(loaded.has(module) ? 'loaded' : 'by hand', module, `registers a driver on bus ${bus}`)).join('')
    + line(driver === null ? 'unbound' : 'bound', name, driver === null ? 'the first driver that is registered takes it' : `to ${driver}`);
}

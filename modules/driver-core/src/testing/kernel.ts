/** A kernel with a driver core, a toy bus and a user who reads and writes sysfs, for the tests of this package. */
import { isKernelError } from '@vdpalab/abi';
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { bootBuiltins, errnoOf } from '@vdpalab/testing';
import type { BootOptions, BootedKernel } from '@vdpalab/testing';
import { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';
import type { BusType, Device, DeviceDriver, DeviceInit, Uevent } from '../header.ts';

/** What a shell would do, inside a task of a root process. */
export interface Shell {
  readonly proc: Process;
  /** `cat PATH` @throws the errno */
  readonly cat: (path: string) => Promise<string>;
  /** `echo -n TEXT > PATH` @returns the errno's name, or 'ok' */
  readonly echo: (text: string, path: string) => Promise<string>;
  /** Names in a directory, sorted; the errno's name when there is none. */
  readonly ls: (path: string) => Promise<string>;
  readonly readlink: (path: string) => Promise<string>;
  /** Everything below a directory, as the recordings' `walk` prints it: type, mode, path, content or target. */
  readonly walk: (path: string) => Promise<string[]>;
}

/** A booted kernel and what was seen of it. */
export interface TestKernel extends BootedKernel {
  /** Uevents since the last call, as the recordings write them: `add@/devices/x SUBSYSTEM=toy`. */
  readonly uevents: () => string[];
  /** Log lines since the last call, with their level: `4: text`. */
  readonly dmesg: () => string[];
  /** Run a task of a root process with a shell. */
  readonly sh: <T>(body: (sh: Shell) => Promise<T>) => Promise<T>;
}

/** Boot. */
export async function bootDriverCore(options: BootOptions = {}): Promise<TestKernel> {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core'], options);
  const { k } = kernel;
  const events: string[] = [];
  k.uevent_listen((event): undefined => void events.push(asRecorded(event)));
  return {
    ...kernel,
    uevents: () => events.splice(0),
    dmesg: () => kernel.log.splice(0).map((line) => `${line.level}: ${line.text}`),
    sh: (body) => kernel.user((proc) => body(shell(k, proc))),
  };
}

/** `ACTION@DEVPATH` and the lines after DEVPATH, SEQNUM excluded. */
function asRecorded({ action, devpath, env }: Uevent): string {
  return [`${action}@${devpath}`, ...env.filter((line) => !/^(ACTION|DEVPATH|SEQNUM)=/.test(line))].join(' ');
}

function shell(k: KernelSymbols, proc: Process): Shell {
  const text = (bytes: Uint8Array): string => [...bytes].map((b) => String.fromCharCode(b)).join('');

  async function cat(path: string): Promise<string> {
    const fd = await k.ksys_open(proc, path, O_RDONLY);
    try {
      return text(await k.ksys_read(proc, fd, 4096));
    } finally {
      await k.ksys_close(proc, fd);
    }
  }

  async function walk(path: string): Promise<string[]> {
    const stat = await k.ksys_stat(proc, path, false);
    const mode = stat.mode.toString(8);
    if (stat.kind === 'link') return [`l ${mode} ${path} -> ${await k.ksys_readlink(proc, path)}`];
    if (stat.kind === 'dir') {
      const lines = [`d ${mode} ${path}`];
      for (const name of (await k.ksys_readdir(proc, path)).map((entry) => entry.name).toSorted()) lines.push(...await walk(`${path}/${name}`));
      return lines;
    }
    if ((stat.mode & 0o444) === 0) return [`f ${mode} ${path}`];
    try {
      return [`f ${mode} ${path} = ${(await cat(path)).replaceAll('\n', '|')}`];
    } catch (error) {
      if (isKernelError(error)) return [`f ${mode} ${path} = ${error.errno}`];
      throw error;
    }
  }

  return {
    proc,
    cat,
    walk,
    echo: (line, path) => errnoOf(async () => {
      const fd = await k.ksys_open(proc, path, O_WRONLY | O_CREAT | O_TRUNC, 0o666);
      try {
        if (line !== '') await k.ksys_write(proc, fd, Uint8Array.from(line, (c) => c.charCodeAt(0)));
      } finally {
        await k.ksys_close(proc, fd);
      }
    }),
    ls: async (path) => {
      try {
        return (await k.ksys_readdir(proc, path)).map((entry) => entry.name).toSorted().join(' ');
      } catch (error) {
        if (isKernelError(error)) return error.errno;
        throw error;
      }
    },
    readlink: (path) => k.ksys_readlink(proc, path),
  };
}

/** A bus where every driver takes every device, unless overridden. */
export function toyBus(more: Partial<BusType> = {}): BusType {
  return { name: 'toy', driver_override: true, ...more };
}

/** A driver that logs, and does what `hooks` say. */
export function toyDriver(bus: BusType, name: string, log: string[], hooks: Partial<DeviceDriver> = {}): DeviceDriver {
  return {
    name, bus, owner: null,
    ...hooks,
    probe: async (dev) => {
      log.push(`${name} probe ${dev.name}`);
      await hooks.probe?.(dev);
    },
    remove: async (dev) => {
      log.push(`${name} remove ${dev.name}`);
      await hooks.remove?.(dev);
    },
  };
}

/** Make a device and add it. */
export async function addDevice(k: KernelSymbols, init: DeviceInit): Promise<Device> {
  const dev = k.device_initialize(init);
  await k.device_add(dev);
  return dev;
}

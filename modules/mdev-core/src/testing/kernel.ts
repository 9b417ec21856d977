/** A kernel with the bus `mdev`, parents of either surface, and a user at their files, for the tests of this package. */
import type { KModule } from '@vdpalab/abi';
import type { AttributeGroup, Class, Device } from '@vdpalab/driver-core';
import type { Process } from '@vdpalab/fs';
import { answerOf, bootBuiltins } from '@vdpalab/testing';
import type { Answer, BootedKernel, BootOptions } from '@vdpalab/testing';
import { O_RDONLY, O_WRONLY } from '@vdpalab/uapi';
import type { MdevBusDriver, MdevDriver, MdevParent, MdevType, ParentOps } from '../header.ts';

/** What a user does at a prompt. */
export interface Prompt {
  /** `echo -n TEXT > PATH`. @returns 0, or the errno */
  readonly write: (path: string, text: string) => Promise<Answer>;
  /** `cat PATH`. @returns text, or the errno */
  readonly read: (path: string) => Promise<string>;
  readonly ls: (path: string) => Promise<string[]>;
  readonly readlink: (path: string) => Promise<string>;
}

/** A booted kernel. */
export interface MdevKernel extends BootedKernel {
  /** Uevents since the last call: `add@/devices/...`, with what follows SUBSYSTEM. */
  readonly uevents: () => string[];
  /** Log lines since the last call. */
  readonly dmesg: () => string[];
  /** Run one task as root at a prompt. */
  readonly sh: <T>(body: (sh: Prompt) => Promise<T>) => Promise<T>;
  /** As {@link MdevKernel.sh}, several processes side by side. */
  readonly together: (bodies: readonly ((sh: Prompt) => Promise<unknown>)[]) => Promise<void>;
  /** A device of a class of its own at /sys/devices/virtual/NAME/NAME. */
  readonly physical: (name: string) => Promise<Device>;
}

/** Boot. */
export async function bootMdev(options: BootOptions = {}): Promise<MdevKernel> {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'mdev-core'], options);
  const { k } = kernel;
  const uevents: string[] = [];
  k.uevent_listen(({ action, devpath, env }) => {
    const extra = env.filter((line) => !/^(ACTION|DEVPATH|SUBSYSTEM|SEQNUM)=/.test(line));
    uevents.push([`${action}@${devpath}`, ...extra].join(' '));
    return undefined;
  });
  kernel.log.splice(0);
  return {
    ...kernel,
    uevents: () => uevents.splice(0),
    dmesg: () => kernel.log.splice(0).map((line) => line.text),
    sh: (body) => kernel.user((proc) => body(promptOf(kernel, proc))),
    async together(bodies) {
      for (const [n, body] of bodies.entries()) {
        const proc = k.process_create(`prompt${n}`);
        kernel.spawn(proc.comm, async () => {
          await body(promptOf(kernel, proc));
          await k.process_exit(proc);
        });
      }
      const { kind } = await kernel.settle();
      if (kind !== 'idle') throw new Error(`prompts: ${kind}`);
    },
    async physical(name) {
      const cls: Class = { name };
      k.class_register(cls);
      const dev = k.device_initialize({ name, class: cls });
      await k.device_add(dev);
      return dev;
    },
  };
}

function promptOf({ k }: BootedKernel, proc: Process): Prompt {
  async function opened<T>(path: string, flags: number, body: (fd: number) => Promise<T>): Promise<T> {
    const fd = await k.ksys_open(proc, path, flags);
    try {
      return await body(fd);
    } finally {
      await k.ksys_close(proc, fd);
    }
  }
  return {
    write: (path, text) => answerOf(() => opened(path, O_WRONLY, async (fd) => {
      await k.ksys_write(proc, fd, Uint8Array.from(text, (c) => c.charCodeAt(0)));
    })),
    async read(path) {
      let text = '';
      const answer = await answerOf(() => opened(path, O_RDONLY, async (fd) => {
        text = String.fromCharCode(...await k.ksys_read(proc, fd, 4096));
      }));
      return answer === 0 ? text : String(answer);
    },
    ls: async (path) => (await k.ksys_readdir(proc, path)).map(({ name }) => name).sort(),
    readlink: (path) => k.ksys_readlink(proc, path),
  };
}

export const OWNER: KModule = { name: 'toy', state: 'live' };

/** A UUID of the tests. @param n its last digits */
export const uuid = (n: number): string => `83b8f4f2-509f-382f-3c1e-${n.toString().padStart(12, '0')}`;

/** A driver of today that notes what it is asked. */
export function todayDriver(name: string, log: string[], more: Partial<MdevDriver> = {}): MdevDriver {
  return {
    device_api: 'vfio-pci', max_instances: 3,
    driver: { name, owner: OWNER },
    probe: async (mdev) => void log.push(`probe ${mdev.uuid.slice(-2)} ${mdev.type.sysfs_name}`),
    remove: async (mdev) => void log.push(`remove ${mdev.uuid.slice(-2)}`),
    ...more,
  };
}

/** A blank parent, and types of these names. */
export function blankParent(): MdevParent {
  return { dev: null, mdev_driver: null, ops: null, types: [] };
}

export const typesOf = (...names: string[]): MdevType[] => names.map((sysfs_name) => ({ sysfs_name, parent: null }));

/** Files of a type of 2016 with the mandatory ones. */
export function typeGroup(name: string, more: Readonly<Record<string, string>> = {}): ParentOps['supported_config'][number] {
  const files = { device_api: 'vfio-pci', available_instances: '2', ...more };
  return { name, attrs: Object.entries(files).map(([file, text]) => ({ name: file, mode: 0o444, show: async () => `${text}\n` })) };
}

/** Operations of a vendor of 2016 that notes what it is asked. */
export function vendorOps(log: string[], more: Partial<ParentOps> = {}): ParentOps {
  return {
    owner: OWNER, supported_config: [typeGroup('small'), typeGroup('big-one', { name: 'Big', description: 'A big one' })],
    create: async (type, mdev) => void log.push(`create ${mdev.uuid.slice(-2)} ${type.sysfs_name}`),
    remove: async (mdev) => void log.push(`remove ${mdev.uuid.slice(-2)}`),
    ...more,
  };
}

/** A bus driver of 2016 that notes what it is asked. */
export function busDriver(name: string, log: string[]): MdevBusDriver {
  return {
    name,
    probe: async (dev) => void log.push(`${name} probe ${dev.name.slice(-2)}`),
    remove: async (dev) => void log.push(`${name} remove ${dev.name.slice(-2)}`),
  };
}

/** An attribute group of one file. */
export function oneFile(group: string | undefined, name: string, text: (dev: Device) => string): AttributeGroup<Device> {
  return { ...(group === undefined ? {} : { name: group }), attrs: [{ name, mode: 0o444, show: async (dev) => `${text(dev)}\n` }] };
}

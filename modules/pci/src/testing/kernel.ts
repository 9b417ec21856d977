/** A machine with an N3000 behind a root port, its kernel up to the PCI bus, and a user at sysfs. */
import { isKernelError } from '@vdpalab/abi';
import type { KernelSymbols, LogLine, PciHost } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { createMachine, createPciHost } from '@vdpalab/machine';
import type { HwMachine, N3000FunctionConfig, PciConfig, PciSystem } from '@vdpalab/machine';
import { bootBuiltins, errnoOf } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import { O_RDONLY, O_WRONLY } from '@vdpalab/uapi';
import type { PciDeviceId, PciDriver } from '../header.ts';

/** What differs from the usual machine. */
export interface PciBoot extends Pick<BootOptions, 'seed' | 'wrap'> {
  /** False: no IOMMU. */
  readonly iommu?: boolean;
  /** Root ports and functions; one N3000 at 07:00.0 with four VFs when absent. */
  readonly pci?: PciConfig | null;
  readonly cmdline?: string;
  readonly ramBytes?: number;
  /** Interrupt vectors of the machine. */
  readonly vectors?: number;
  /** What firmware does before the kernel boots. */
  readonly firmware?: (host: PciHost) => void;
  /** Modules after the PCI bus, by folder. */
  readonly more?: readonly string[];
}

/** What a shell would do, in a task of a process. */
export interface Shell {
  readonly proc: Process;
  /** Contents. @throws the errno */
  readonly cat: (path: string) => Promise<string>;
  /** Bytes of a binary file. */
  readonly bytes: (path: string, pos: number, len: number) => Promise<number[]>;
  /** Write. @returns the errno's name, or 'ok' */
  readonly echo: (text: string, path: string) => Promise<string>;
  /** Names in a directory, sorted; the errno's name when there is none. */
  readonly ls: (path: string) => Promise<string[]>;
  readonly readlink: (path: string) => Promise<string>;
  /** Mode in octal. */
  readonly mode: (path: string) => Promise<string>;
}

/** A booted kernel, its machine and what was seen of it. */
export interface PciKernel extends BootedKernel {
  readonly hw: HwMachine;
  readonly system: PciSystem | null;
  /** Uevents since the last call: `add@/devices/x`. */
  readonly uevents: () => string[];
  /** Log lines since the last call. */
  readonly dmesg: () => string[];
  /** Run a task of a process with a shell. @param as absent: root */
  readonly sh: <T>(body: (sh: Shell) => Promise<T>, as?: { uid?: number; caps?: readonly number[] }) => Promise<T>;
}

/** An N3000 as the lab file describes it. */
export function n3000(at: string, sriov: N3000FunctionConfig['sriov']): N3000FunctionConfig {
  return { at, model: 'n3000', ids: {}, sriov, queue_pairs: 1, queue_size: 256, mtu: 1500, vfs: {} };
}

/** One N3000 at 07:00.0 behind a root port at 00:01.0, four VFs from 07:00.1 on. */
export const oneCard: PciConfig = {
  root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
  functions: [n3000('07:00.0', { total: 4, offset: 1, stride: 1 })],
};

/** Boot. */
export async function bootPci(boot: PciBoot = {}): Promise<PciKernel> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed: boot.seed ?? 1, ramBytes: boot.ramBytes ?? 16 << 20, iommu: boot.iommu ?? true, cmdline: boot.cmdline ?? '',
    release: '6.1.0', consoleSink: (line): undefined => void log.push(line),
    ...(boot.vectors === undefined ? {} : { vectors: boot.vectors }),
  });
  const system = boot.pci === null ? null : createPciHost(hw, boot.pci ?? oneCard);
  if (system !== null) boot.firmware?.(system.host);
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', ...boot.more ?? []], {
    machine: hw.machine, ...(boot.wrap === undefined ? {} : { wrap: boot.wrap }),
  });
  const events: string[] = [];
  kernel.k.uevent_listen(({ action, devpath }): undefined => void events.push(`${action}@${devpath}`));
  return {
    ...kernel, hw, system,
    uevents: () => events.splice(0),
    dmesg: () => log.splice(0).map(({ text }) => text),
    sh: (body, as) => kernel.user((proc) => body(shell(kernel.k, proc)), as),
  };
}

/** An id that takes one vendor and device, whatever the subsystem. */
export function pciId(vendor: number, device: number): PciDeviceId {
  return { vendor, device, subvendor: null, subdevice: null, class: 0, class_mask: 0 };
}

/** A driver that logs its probes and removes. */
export function toyDriver(
  name: string, ids: readonly PciDeviceId[], log: string[] = [], hooks: Partial<PciDriver> = {},
): PciDriver {
  return {
    name, owner: { name, state: 'live' }, id_table: ids,
    ...hooks,
    async probe(pdev, id) {
      log.push(`${name} probe ${pdev.dev.name}`);
      await hooks.probe?.(pdev, id);
    },
    async remove(pdev) {
      log.push(`${name} remove ${pdev.dev.name}`);
      await hooks.remove?.(pdev);
    },
  };
}

function shell(k: KernelSymbols, proc: Process): Shell {
  async function reading<T>(path: string, body: (fd: number) => Promise<T>): Promise<T> {
    const fd = await k.ksys_open(proc, path, O_RDONLY);
    try {
      return await body(fd);
    } finally {
      await k.ksys_close(proc, fd);
    }
  }
  return {
    proc,
    cat: (path) => reading(path, async (fd) => String.fromCharCode(...await k.ksys_read(proc, fd, 4096))),
    bytes: (path, pos, len) => reading(path, async (fd) => [...await k.ksys_pread(proc, fd, len, pos)]),
    echo: (text, path) => errnoOf(async () => {
      const fd = await k.ksys_open(proc, path, O_WRONLY);
      try {
        await k.ksys_write(proc, fd, Uint8Array.from(text, (c) => c.charCodeAt(0)));
      } finally {
        await k.ksys_close(proc, fd);
      }
    }),
    async ls(path) {
      try {
        return (await k.ksys_readdir(proc, path)).map(({ name }) => name).toSorted();
      } catch (error) {
        if (isKernelError(error)) return [error.errno];
        throw error;
      }
    },
    readlink: (path) => k.ksys_readlink(proc, path),
    mode: async (path) => (await k.ksys_stat(proc, path, false)).mode.toString(8),
  };
}

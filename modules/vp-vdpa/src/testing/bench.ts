/** A plain network function that vp_vdpa is given by its driver_override, and a bus driver of the test's own. */
import type { LogLine } from '@vdpalab/abi';
import { createMachine, createPciHost, VirtioNetFunction } from '@vdpalab/machine';
import type { HwMachine, VirtioNetConfig } from '@vdpalab/machine';
import type {} from '@vdpalab/fs';
import type {} from '@vdpalab/irq';
import type {} from '@vdpalab/iommu';
import type {} from '@vdpalab/pci';
import { bootBuiltins, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import type { NlaBuilder } from '@vdpalab/uapi';
import { isKernelError } from '@vdpalab/abi';
import type { VdpaConfigOps, VdpaDevice } from '@vdpalab/vdpa-core';

/** Where the function is. */
export const BDF = '0000:07:00.0';

/** What differs from a modern function with three queues. */
export interface BenchOptions extends Pick<BootOptions, 'wrap'> {
  readonly function?: Partial<VirtioNetConfig>;
  /** Before anybody drives the function. */
  readonly tamper?: (fn: VirtioNetFunction) => void;
}

/** The kernel, the function and its vDPA device. */
export interface Bench extends BootedKernel {
  readonly hw: HwMachine;
  readonly fn: VirtioNetFunction;
  readonly devAdd: (name?: string, more?: (b: NlaBuilder) => void) => Promise<string>;
  readonly devDel: (name?: string) => Promise<string>;
  /** @throws Error when there is none */
  readonly vdpa: () => VdpaDevice;
  readonly ops: () => VdpaConfigOps;
  /** Lines of the kernel log since the last look. */
  readonly dmesg: () => string[];
  /** Handlers in /proc/interrupts. */
  readonly actions: () => readonly string[];
  readonly bound: () => boolean;
  /** Write a sysfs file. @returns 'ok' or an errno's name */
  readonly echo: (text: string, path: string) => Promise<string>;
}

/** Boot, load vp_vdpa, and let it have the function. */
export async function bootVpVdpa(options: BenchOptions = {}): Promise<Bench> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: (line): undefined => void log.push(line),
  });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{ at: '07:00.0', model: 'virtio-net', queue_pairs: 1, queue_size: 256, mtu: 1500, mac: '52:54:00:00:00:10', ...options.function }],
  });
  const fn = system.functions.get('07:00.0');
  if (!(fn instanceof VirtioNetFunction)) throw new Error('07:00.0 is no network function');
  const kernel = await bootBuiltins(
    ['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'netlink', 'vdpa-core', 'virtio-pci-modern-dev'],
    { machine: hw.machine, ...(options.wrap === undefined ? {} : { wrap: options.wrap }) },
  );
  const { k } = kernel;
  options.tamper?.(fn);
  let vdpa: VdpaDevice | null = null;
  await kernel.run(async () => {
    await k.__vdpa_register_driver({
      name: 'taker', owner: { name: 'taker', state: 'live' }, model: 'vhost',
      probe: async (vdev) => void (vdpa = vdev),
      remove: async () => void (vdpa = null),
    });
    const { default: vpVdpa } = await hw.sched.host(import('../module.ts'), 'import of vp_vdpa');
    await kernel.insmod(vpVdpa);
  });
  const echo = (text: string, path: string): Promise<string> => kernel.user(async (proc) => {
    const fd = await k.ksys_open(proc, path, 1);
    try {
      await k.ksys_write(proc, fd, Uint8Array.from(`${text}\n`, (c) => c.charCodeAt(0)));
      return 'ok';
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return error.errno;
    } finally {
      await k.ksys_close(proc, fd);
    }
  });
  await echo('vp-vdpa', `/sys/bus/pci/devices/${BDF}/driver_override`);
  await echo(BDF, '/sys/bus/pci/drivers_probe');
  const tool = (body: (t: VdpaTool<never>) => Promise<string>): Promise<string> => kernel.user(async (proc) => {
    const t = await VdpaTool.open(k as never, proc as never); // its calls are those of `fs`
    try {
      return await body(t);
    } finally {
      await t.close();
    }
  });
  const device = (): VdpaDevice => {
    if (vdpa === null) throw new Error('there is no vDPA device');
    return vdpa;
  };
  return {
    ...kernel, hw, fn, vdpa: device, echo,
    ops: () => device().config,
    devAdd: (name = 'vdpa0', more) => tool((t) => t.add(name, `pci/${BDF}`, more)),
    devDel: (name = 'vdpa0') => tool((t) => t.del(name)),
    dmesg: () => log.splice(0).map(({ text }) => text),
    actions: () => k.irq_info().flatMap((info) => [...info.actions]),
    bound: () => k.pci_devices().some((pdev) => pdev.dev.name === BDF && pdev.driver !== null),
  };
}

/** A plain network function at 00:04.0 or behind a root port, and a kernel with virtio on PCI, for the tests of this package. */
import type { LogLine } from '@vdpalab/abi';
import { createMachine, createPciHost, InjectionPort, VirtioNetFunction } from '@vdpalab/machine';
import type { HwMachine, VirtioNetConfig } from '@vdpalab/machine';
import type {} from '@vdpalab/fs';
import type {} from '@vdpalab/irq';
import type {} from '@vdpalab/iommu';
import type {} from '@vdpalab/mm';
import type {} from '@vdpalab/pci';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, TransportBench } from '@vdpalab/testing';
import { VIRTIO_ID_NET } from '@vdpalab/uapi';
import type {} from '@vdpalab/virtio';
import type {} from '@vdpalab/virtio-ring';

/** What differs from a transitional function with three queues and a vector for each. */
export interface BenchOptions extends Pick<BootOptions, 'wrap'> {
  readonly at?: '00:04.0' | '07:00.0';
  readonly function?: Partial<VirtioNetConfig>;
  readonly forceLegacy?: boolean;
  readonly iommu?: boolean;
  /** Before the driver is loaded. */
  readonly tamper?: (fn: VirtioNetFunction) => void;
}

/** The kernel and the function. */
export interface Bench extends BootedKernel {
  readonly hw: HwMachine;
  readonly fn: VirtioNetFunction;
  /** `0000:00:04.0` */
  readonly bdf: string;
  readonly transport: TransportBench;
  /** Lines of the kernel log since the last look. */
  readonly dmesg: () => string[];
  /** Handlers in /proc/interrupts. */
  readonly actions: () => readonly string[];
  readonly bound: () => boolean;
  /** Text of a file. */
  readonly cat: (path: string) => Promise<string>;
}

/** Modules under the transport, in boot order. */
export const BELOW = ['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'virtio-ring', 'virtio', 'virtio-pci-modern-dev', 'virtio-pci-legacy-dev'];

/** Boot, and load virtio_pci. */
export async function bootVirtioPci(options: BenchOptions = {}): Promise<Bench> {
  const log: LogLine[] = [];
  const { at = '00:04.0' } = options;
  const hw = createMachine({
    seed: 1, ramBytes: 16 << 20, iommu: options.iommu ?? true, cmdline: '', release: '6.1.0',
    consoleSink: (line): undefined => void log.push(line),
  });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{ at, model: 'virtio-net', queue_pairs: 1, queue_size: 256, mtu: 1500, mac: '52:54:00:00:00:10', link: 'lan', ...options.function }],
  }, [{ name: 'lan', kind: 'switch' }]);
  const fn = system.functions.get(at);
  if (!(fn instanceof VirtioNetFunction)) throw new Error(`${at} is no network function`);
  const outside = new InjectionPort(system.networks.get('lan')!.attach('outside')!);
  const kernel = await bootBuiltins(BELOW, { machine: hw.machine, ...(options.wrap === undefined ? {} : { wrap: options.wrap }) });
  const { k } = kernel;
  options.tamper?.(fn);
  const load = async (): Promise<void> => {
    const { default: virtioPci } = await hw.sched.host(import('../module.ts'), 'import of virtio_pci');
    await kernel.insmod(virtioPci, { force_legacy: options.forceLegacy ?? false });
  };
  await kernel.run(load);
  const bdf = `0000:${at}`;
  return {
    ...kernel, hw, fn, bdf,
    transport: {
      k: k as never, run: kernel.run, settle: kernel.settle, // its calls are those of the headers named above
      id: VIRTIO_ID_NET, queues: fn.queues.length, mac: fn.net.bytes.slice(0, 6),
      modern: options.forceLegacy !== true && options.function?.disable_modern !== true,
      inject: (frame) => void outside.inject(frame),
      sent: () => outside.take(),
      setLink: (up) => void fn.setLink(up),
    },
    dmesg: () => log.splice(0).map(({ text }) => text),
    actions: () => k.irq_info().flatMap((info) => [...info.actions]),
    bound: () => k.pci_devices().some((pdev) => pdev.dev.name === bdf && pdev.driver !== null),
    cat: (path) => kernel.user(async (proc) => {
      const fd = await k.ksys_open(proc, path, 0);
      const bytes = await k.ksys_read(proc, fd, 4096);
      await k.ksys_close(proc, fd);
      return String.fromCharCode(...bytes);
    }),
  };
}

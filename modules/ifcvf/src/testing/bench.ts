/** An N3000 function that ifcvf takes, and a bus driver of the test's own, for the tests of this package. */
import type { LogLine } from '@vdpalab/abi';
import { createMachine, createPciHost, N3000Function } from '@vdpalab/machine';
import type { HwMachine } from '@vdpalab/machine';
import type {} from '@vdpalab/fs';
import { bootBuiltins, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import { VDPA_ATTR_DEV_FEATURES } from '@vdpalab/uapi';
import type { VdpaConfigOps, VdpaDevice } from '@vdpalab/vdpa-core';
import type {} from '@vdpalab/irq';
import type {} from '@vdpalab/iommu';
import type {} from '@vdpalab/pci';

/** Where the function is. */
export const BDF = '0000:07:00.0';

/** What differs from the usual function: two queues, three vectors. */
export interface BenchOptions {
  readonly ids?: { readonly device?: number; readonly subvendor?: number; readonly subdevice?: number };
  readonly queuePairs?: number;
  /** Vectors pci_alloc_irq_vectors gives at most. */
  readonly vectors?: number;
  /** Stands between a symbol and ifcvf. */
  readonly wrap?: (symbol: string, value: (...args: never[]) => unknown) => unknown;
}

/** The kernel, the function and its vDPA device. */
export interface Bench extends BootedKernel {
  readonly hw: HwMachine;
  readonly fn: N3000Function;
  readonly devAdd: (name?: string, features?: bigint) => Promise<string>;
  readonly devDel: (name?: string) => Promise<string>;
  /** The vDPA device the test's bus driver has. @throws Error when there is none */
  readonly vdpa: () => VdpaDevice;
  /** Its operations. */
  readonly ops: () => VdpaConfigOps;
  readonly dmesg: () => string[];
  /** Handlers in /proc/interrupts. */
  readonly actions: () => readonly string[];
  /** Whether ifcvf has the function. */
  readonly bound: () => boolean;
  readonly fire: (vector: number) => Promise<void>;
}

/** Boot. */
export async function bootIfcvf(options: BenchOptions = {}): Promise<Bench> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed: 1, ramBytes: 16 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: (line): undefined => void log.push(line),
  });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{
      at: '07:00.0', model: 'n3000', ids: { vendor: 0x1af4, device: 0x1041, subvendor: 0x8086, subdevice: 0x1a, ...options.ids },
      sriov: { total: 0, offset: 1, stride: 1 }, queue_pairs: options.queuePairs ?? 1, queue_size: 256, mtu: 1500,
      mac: '52:54:00:00:00:10', vfs: {},
    }],
  });
  const fn = system.functions.get('07:00.0');
  if (!(fn instanceof N3000Function)) throw new Error('07:00.0 is no N3000');
  const wrap: BootOptions['wrap'] = (symbol, value, importer) => {
    if (importer !== 'ifcvf' || typeof value !== 'function') return value;
    const { vectors = Infinity } = options;
    const real = symbol !== 'pci_alloc_irq_vectors' ? value as (...args: never[]) => unknown
      : ((dev: unknown, min: number, max: number): unknown => (value as (...args: unknown[]) => unknown)(dev, min, Math.min(max, vectors)));
    return options.wrap === undefined ? real : options.wrap(symbol, real);
  };
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'netlink', 'vdpa-core'], { machine: hw.machine, wrap });
  const { k } = kernel;
  let vdpa: VdpaDevice | null = null;
  await kernel.run(async () => {
    await k.__vdpa_register_driver({
      name: 'taker', owner: { name: 'taker', state: 'live' }, model: 'vhost',
      probe: async (vdev) => void (vdpa = vdev),
      remove: async () => void (vdpa = null),
    });
    const { default: ifcvf } = await hw.sched.host(import('../module.ts'), 'import of ifcvf');
    await kernel.insmod(ifcvf);
  });
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
    ...kernel, hw, fn, vdpa: device,
    ops: () => device().config,
    devAdd: (name = 'vdpa0', features) => tool((t) => t.add(name, `pci/${BDF}`, (b) => {
      if (features !== undefined) b.putU64(VDPA_ATTR_DEV_FEATURES, features, 0);
    })),
    devDel: (name = 'vdpa0') => tool((t) => t.del(name)),
    dmesg: () => log.splice(0).map(({ text }) => text),
    actions: () => k.irq_info().flatMap((info) => [...info.actions]),
    bound: () => k.pci_devices().some((pdev) => pdev.dev.name === BDF && pdev.driver !== null),
    async fire(vector) {
      fn.msix!.fire(vector);
      await kernel.settle();
    },
  };
}

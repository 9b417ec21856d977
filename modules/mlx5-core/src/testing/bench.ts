/** A ConnectX that mlx5_core takes, and an administrator with devlink, for the tests of this package. */
import type { LogLine } from '@vdpalab/abi';
import type { Devlink } from '@vdpalab/devlink';
import type {} from '@vdpalab/fs';
import { ConnectxFunction, createMachine, createPciHost } from '@vdpalab/machine';
import type { ConnectxCapability, HwMachine } from '@vdpalab/machine';
import { bootBuiltins, DevlinkTool } from '@vdpalab/testing';
import type { BootedKernel, TestProcess, ToolCalls } from '@vdpalab/testing';
import { DEVLINK_ESWITCH_MODE_SWITCHDEV, DEVLINK_PORT_FN_STATE_ACTIVE } from '@vdpalab/uapi';
import type { CoreDev } from '../core-dev.ts';

/** Where the function is. */
export const BDF = '0000:08:00.0';
/** Its devlink instance. */
export const PF = `pci/${BDF}`;
/** That of the subfunction which is made first. */
export const SF = 'auxiliary/mlx5_core.sf.1';
/** Its port. */
export const FIRST_PORT = 0x8000;

/** What differs from the usual device: 4 subfunctions, 16 vectors. */
export interface BenchOptions {
  readonly subfunctions?: number;
  readonly vectors?: number;
  readonly without?: readonly ConnectxCapability[];
  /** Stands between a symbol and mlx5_core. */
  readonly wrap?: (symbol: string, value: (...args: never[]) => unknown) => unknown;
  readonly seed?: number;
  readonly ramBytes?: number;
}

/** The kernel, the device, and devlink in the test's hands. */
export interface Bench extends BootedKernel {
  readonly hw: HwMachine;
  readonly fn: ConnectxFunction;
  /** What devlink is asked of an instance. */
  readonly devlink: <T>(handle: string, body: (tool: DevlinkTool<TestProcess>) => Promise<T>) => Promise<T>;
  /** The same by a new process of the running task. */
  readonly devlinkHere: <T>(handle: string, body: (tool: DevlinkTool<TestProcess>) => Promise<T>) => Promise<T>;
  /** Switchdev mode. */
  readonly switchdev: () => Promise<void>;
  /** Add the port of a subfunction. @returns its index, or the refusal */
  readonly portAdd: (sfnum: number) => Promise<number | string>;
  readonly portDel: (port: number) => Promise<string>;
  /** Set the state of a port's function, and let what follows happen. */
  readonly portState: (port: number, state: number) => Promise<string>;
  /** What a port shows. */
  readonly port: (index: number) => Promise<{ hw_addr: string | null; state: number | null; opstate: number | null }>;
  /** A subfunction that is driven. @returns its port */
  readonly subfunction: (sfnum: number) => Promise<number>;
  /** The function that a device on the bus is. */
  readonly dev: (name?: string) => CoreDev;
  /** Devices on the auxiliary bus, by name; of a function's index when one is given. */
  readonly auxiliary: (idx?: number) => string[];
  readonly dmesg: () => string[];
  /** Handlers in /proc/interrupts. */
  readonly actions: () => readonly string[];
  readonly bound: () => boolean;
  /** States of the firmware's functions. */
  readonly states: () => number[];
}

/** Boot. */
export async function bootMlx5(options: BenchOptions = {}): Promise<Bench> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed: options.seed ?? 1, ramBytes: options.ramBytes ?? 32 << 20, iommu: true, cmdline: '', release: '6.1.0', consoleSink: (line): undefined => void log.push(line),
  });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 8, buses: 1, acs: true }],
    functions: [{
      at: '08:00.0', model: 'connectx', subfunctions: options.subfunctions ?? 4, vectors: options.vectors ?? 16, queue_pairs: 1, mtu: 9000, mac: '52:54:00:00:00:10',
      without: options.without ?? [],
    }],
  });
  const fn = system.functions.get('08:00.0');
  if (!(fn instanceof ConnectxFunction)) throw new Error('08:00.0 is no ConnectX');
  const devs = new Map<string, CoreDev>();
  const observed = (symbol: string, value: (...args: never[]) => unknown): unknown => {
    const real = options.wrap === undefined ? value : options.wrap(symbol, value) as typeof value;
    if (symbol !== 'devlink_register') return real;
    return async (devlink: Devlink) => {
      await real(devlink as never);
      devs.set(devlink.dev.name, devlink.priv as CoreDev);
    };
  };
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'auxiliary', 'irq', 'iommu', 'pci', 'netlink', 'netdev', 'devlink'], {
    machine: hw.machine, wrap: (symbol, value, importer) => (importer === 'mlx5_core' && typeof value === 'function' ? observed(symbol, value as never) : value),
  });
  const { k } = kernel;
  await kernel.run(async () => {
    const { default: mlx5 } = await hw.sched.host(import('../module.ts'), 'import of mlx5_core');
    await kernel.insmod(mlx5);
  });
  const using = async <T>(proc: TestProcess, handle: string, body: (tool: DevlinkTool<TestProcess>) => Promise<T>): Promise<T> => {
    const tool = await DevlinkTool.open(k as unknown as ToolCalls<TestProcess>, proc, handle); // fs is among the modules
    try {
      return await body(tool);
    } finally {
      await tool.close();
    }
  };
  const devlink: Bench['devlink'] = (handle, body) => kernel.user((proc) => using(proc, handle, body));
  const bench: Bench = {
    ...kernel, hw, fn, devlink,
    async devlinkHere(handle, body) {
      const proc = k.process_create('devlink', {});
      const task = k.current_task();
      task.process = proc;
      try {
        return await using(proc, handle, body);
      } finally {
        task.process = null;
        await k.process_exit(proc);
      }
    },
    async switchdev() {
      const result = await devlink(PF, (tool) => tool.setEswitchMode(DEVLINK_ESWITCH_MODE_SWITCHDEV));
      if (result !== 'ok') throw new Error(result);
    },
    portAdd: (sfnum) => devlink(PF, (tool) => tool.addSf(0, sfnum)),
    portDel: (port) => devlink(PF, (tool) => tool.delPort(port)),
    portState: (port, state) => devlink(PF, (tool) => tool.setFunction(port, { state })),
    async port(index) {
      const { hw_addr, state, opstate } = (await devlink(PF, (tool) => tool.ports())).find((port) => port.index === index)!;
      return { hw_addr, state, opstate };
    },
    async subfunction(sfnum) {
      const port = await bench.portAdd(sfnum);
      if (typeof port === 'string') throw new Error(port);
      await bench.portState(port, DEVLINK_PORT_FN_STATE_ACTIVE);
      return port;
    },
    dev: (name = BDF) => devs.get(name)!,
    auxiliary: (idx) => k.bus_devices(k.find_bus('auxiliary')!).map((dev) => dev.name).filter((name) => idx === undefined || name.endsWith(`.${idx}`)),
    dmesg: () => log.splice(0).map(({ text }) => text),
    actions: () => k.irq_info().flatMap((info) => [...info.actions]),
    bound: () => k.pci_devices().some((pdev) => pdev.dev.name === BDF && pdev.driver !== null),
    states: () => fn.subfunctions.slots.map(({ state }) => state),
  };
  return bench;
}

/** A driver of a subfunction's vnet device that does not let go of it when it is removed. */
export interface SlowChild {
  /** Let go, and let all that waited for it happen. */
  readonly letGo: () => Promise<void>;
  readonly unregister: () => Promise<void>;
}

/** Register one. */
export async function slowChild(b: Bench): Promise<SlowChild> {
  let done = false;
  const wq = b.k.init_waitqueue_head('slow');
  const slow = {
    name: 'slow', owner: { name: 'slow', state: 'live' as const }, id_table: [{ name: 'mlx5_core.vnet' }],
    probe: async () => undefined, remove: () => b.k.wait_event(wq, () => done, 'the last close of a file'),
  };
  await b.run(() => b.k.__auxiliary_driver_register(slow));
  return {
    async letGo() {
      done = true;
      b.k.wake_up(wq);
      await b.settle();
    },
    unregister: () => b.run(() => b.k.auxiliary_driver_unregister(slow)),
  };
}

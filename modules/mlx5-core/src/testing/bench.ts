/** A ConnectX that mlx5_core takes, and what an administrator does to it, for the tests of this package. */
import type { LogLine } from '@vdpalab/abi';
import type { Devlink, DevlinkOps } from '@vdpalab/devlink';
import { ConnectxFunction, createMachine, createPciHost } from '@vdpalab/machine';
import type { ConnectxCapability, HwMachine } from '@vdpalab/machine';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import { DEVLINK_ESWITCH_MODE_SWITCHDEV, DEVLINK_PORT_FLAVOUR_PCI_SF, DEVLINK_PORT_FN_STATE_ACTIVE, DEVLINK_RELOAD_ACTION_DRIVER_REINIT } from '@vdpalab/uapi';
import type { CoreDev } from '../core-dev.ts';

/** Where the function is. */
export const BDF = '0000:08:00.0';
/** Port of the subfunction that is made first. */
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
  /** Devlink instances by device, as registered. */
  readonly devlinks: ReadonlyMap<string, Devlink>;
  /** The function of a devlink instance. */
  readonly dev: (name?: string) => CoreDev;
  /** Call an operation as devlink does, with the instance locked. */
  readonly op: <T>(name: string, body: (ops: DevlinkOps, devlink: Devlink) => Promise<T>) => Promise<T>;
  readonly switchdev: () => Promise<void>;
  /** Add the port of a subfunction. @returns its index */
  readonly portAdd: (sfnum: number) => Promise<number>;
  readonly portDel: (port: number) => Promise<void>;
  /** Set the state of a port's function, and let what follows happen. */
  readonly portState: (port: number, state: number) => Promise<void>;
  /** A subfunction that is driven. @returns its auxiliary device's name */
  readonly subfunction: (sfnum: number) => Promise<string>;
  readonly reload: (name: string) => Promise<void>;
  /** Devices on the auxiliary bus, by name. */
  readonly auxiliary: () => string[];
  readonly dmesg: () => string[];
  /** Handlers in /proc/interrupts. */
  readonly actions: () => readonly string[];
  readonly bound: () => boolean;
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
  const devlinks = new Map<string, Devlink>();
  let ops: DevlinkOps = {};
  const observed = (symbol: string, value: (...args: never[]) => unknown): unknown => {
    const real = options.wrap === undefined ? value : options.wrap(symbol, value) as typeof value;
    if (symbol === 'devlink_alloc_ns') {
      return (...args: never[]) => {
        ops = args[0] as DevlinkOps;
        return real(...args);
      };
    }
    if (symbol !== 'devlink_register' && symbol !== 'devlink_unregister') return real;
    return async (...args: never[]) => {
      const devlink = args[0] as Devlink;
      await real(...args);
      if (symbol === 'devlink_register') devlinks.set(devlink.dev.name, devlink);
      else devlinks.delete(devlink.dev.name);
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
  const op: Bench['op'] = async (name, body) => {
    const devlink = devlinks.get(name);
    if (devlink === undefined) throw new Error(`no devlink instance ${name}`);
    return await kernel.run(async () => {
      await k.devl_lock(devlink);
      try {
        return await body(ops, devlink);
      } finally {
        k.devl_unlock(devlink);
      }
    });
  };
  const portOf = (index: number): Parameters<NonNullable<DevlinkOps['port_fn_state_set']>>[0] => (
    { devlink: devlinks.get(BDF)!, index, attrs: { flavour: DEVLINK_PORT_FLAVOUR_PCI_SF, pci_sf: { controller: 0, pf: 0, external: false, sf: 0 } }, priv: index });
  const bench: Bench = {
    ...kernel, hw, fn, devlinks, op,
    dev: (name = BDF) => devlinks.get(name)!.priv as CoreDev,
    switchdev: () => op(BDF, (o, devlink) => o.eswitch_mode_set!(devlink, DEVLINK_ESWITCH_MODE_SWITCHDEV)),
    portAdd: (sfnum) => op(BDF, (o, devlink) => o.port_new!(devlink, { flavour: DEVLINK_PORT_FLAVOUR_PCI_SF, pfnum: 0, port_index: null, controller: null, sfnum })),
    portDel: (port) => op(BDF, (o, devlink) => o.port_del!(devlink, port)),
    portState: (port, state) => op(BDF, (o) => o.port_fn_state_set!(portOf(port), state)),
    async subfunction(sfnum) {
      const before = new Set(bench.auxiliary());
      await bench.portState(await bench.portAdd(sfnum), DEVLINK_PORT_FN_STATE_ACTIVE);
      return bench.auxiliary().find((name) => name.startsWith('mlx5_core.sf.') && !before.has(name))!;
    },
    reload: (name) => op(name, async (o, devlink) => {
      await o.reload_down!(devlink, false, DEVLINK_RELOAD_ACTION_DRIVER_REINIT, 0);
      await o.reload_up!(devlink, DEVLINK_RELOAD_ACTION_DRIVER_REINIT, 0);
    }),
    auxiliary: () => k.bus_devices(k.find_bus('auxiliary')!).map((dev) => dev.name),
    dmesg: () => log.splice(0).map(({ text }) => text),
    actions: () => k.irq_info().flatMap((info) => [...info.actions]),
    bound: () => k.pci_devices().some((pdev) => pdev.dev.name === BDF && pdev.driver !== null),
  };
  return bench;
}

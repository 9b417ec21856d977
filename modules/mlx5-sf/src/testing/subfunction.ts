/** A machine with a ConnectX, and an active subfunction of it, for this module's tests. */
import { ConnectxFunction, createMachine, createPciHost, EthernetSwitch, InjectionPort } from '@vdpalab/machine';
import type { ConnectxFunctionConfig, HwMachine, PciSystem } from '@vdpalab/machine';
import type { Process } from '@vdpalab/fs';
import { DevlinkTool } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import { DEVLINK_ESWITCH_MODE_SWITCHDEV, DEVLINK_PORT_FN_STATE_ACTIVE } from '@vdpalab/uapi';
import { expect } from 'vitest';

/** Where the function is, and what its first subfunction's devices are called. */
export const PF = 'pci/0000:07:00.0';
export const SF = 'auxiliary/mlx5_core.sf.1';
/** Modules in the order in which they need each other. */
export const MODULES = ['auxiliary', 'devlink', 'mlx5-core', 'mlx5-sf'] as const;
/** Number of the subfunction, and its address, which it has of the physical function's. */
const SFNUM = 88;
export const SF_MAC = [0x52, 0x54, 0, 0, 1, 1];

/** The hardware. */
export interface Hardware {
  readonly hw: HwMachine;
  readonly system: PciSystem;
  readonly fn: ConnectxFunction;
  /** A port of the switch that the function is plugged into. */
  readonly outside: InjectionPort;
}

/** Build it. */
export function hardware(config: Partial<ConnectxFunctionConfig> = {}, seed = 1, iommu = true): Hardware {
  const hw = createMachine({ seed, ramBytes: 64 << 20, iommu, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{
      at: '07:00.0', model: 'connectx', subfunctions: 4, vectors: 16, queue_pairs: 2, mtu: 9000, mac: '52:54:00:00:01:00', link: 'sw0', promisc: false, ...config,
    }],
  }, [{ name: 'sw0', kind: 'switch' }]);
  const [fn, sw0] = [system.find('07:00.0'), system.networks.get('sw0')];
  if (!(fn instanceof ConnectxFunction) || !(sw0 instanceof EthernetSwitch)) throw new Error('the machine is not as described');
  return { hw, system, fn, outside: new InjectionPort(sw0.attach('outside')) };
}

/** The hardware, whose network brings every frame back. */
export function echoing(seed: number): Hardware {
  const made = hardware({}, seed);
  const { outside } = made;
  outside.onReceive = (): undefined => {
    for (const frame of outside.take()) outside.inject(frame);
  };
  return made;
}

/** Ask about an instance as a process. */
export async function devlink<T>(kernel: BootedKernel, handle: string, body: (tool: DevlinkTool<Process>) => Promise<T>): Promise<T> {
  return await kernel.user(async (proc) => {
    const tool = await DevlinkTool.open(kernel.k, proc as unknown as Process, handle); // as the `fs` header declares it
    try {
      return await body(tool);
    } finally {
      await tool.close();
    }
  });
}

/** Switchdev mode, a port, an active function. @returns the port's index */
export async function activate(kernel: BootedKernel): Promise<number> {
  const index = await devlink(kernel, PF, async (tool) => {
    expect(await tool.setEswitchMode(DEVLINK_ESWITCH_MODE_SWITCHDEV)).toBe('ok');
    const port = await tool.addSf(0, SFNUM);
    if (typeof port === 'string') throw new Error(`port add: ${port}`);
    expect(await tool.setFunction(port, { state: DEVLINK_PORT_FN_STATE_ACTIVE })).toBe('ok');
    return port;
  });
  await kernel.settle();
  return index;
}

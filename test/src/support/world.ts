/** A lab with an N3000 behind a root port, its virtual functions on, and a vDPA device for whichever is asked. */
import type { LogLine, RunResult } from '@vdpalab/abi';
import { createLab, type Lab, type LabConfigInput, type UserProcess } from '@vdpalab/lab';
import { N3000Vf } from '@vdpalab/machine';
import type { OptionalFeature, TraceSink } from '@vdpalab/machine';
import { O_WRONLY } from '@vdpalab/uapi';
import { vdpaDevAdd, vdpaDevDel } from '@vdpalab/user';
import { insmod, moduleFile, modprobe } from './modprobe.ts';

/** What the chain from a socket to a process takes, dependencies left to modprobe. */
export const CHAIN_MODULES = ['vhost_vdpa', 'virtio_vdpa', 'ifcvf', 'virtio_net', 'pci_pf_stub'] as const;
/** The bus drivers of a vDPA device. */
export type BusDriver = 'vhost_mdev' | 'vhost_vdpa' | 'virtio_vdpa';

/** Where the physical function sits and what it is like. */
export interface Site {
  /** Device number of the root port on bus 0, 1 to 31. */
  readonly port: number;
  /** Bus behind the port, and how many. */
  readonly bus: number;
  readonly buses: number;
  /** Device number of the physical function. */
  readonly device: number;
  readonly offset: number;
  readonly stride: number;
  readonly totalVfs: number;
}

/** How a world is made. */
export interface WorldOptions {
  readonly seed?: number;
  readonly site?: Partial<Site>;
  /** Virtual functions to switch on; 2 when absent. */
  readonly vfs?: number;
  readonly mac?: string;
  /** MAC addresses of virtual functions, by number. */
  readonly macs?: readonly string[];
  readonly queueSize?: number;
  /** Per virtual function; 1 when absent. */
  readonly queuePairs?: number;
  /** Features the virtual functions do not offer. */
  readonly without?: readonly OptionalFeature[];
  /** Largest MTU the functions offer; 65535 when absent. */
  readonly mtu?: number;
  /** For modprobe, in this order; the whole chain's when absent. */
  readonly modules?: readonly string[];
  /** For insmod instead, in this order: must be one in which dependencies come first. */
  readonly insmodOrder?: readonly string[];
  readonly traceSink?: TraceSink;
  /** Functions beside the N3000. */
  readonly functions?: NonNullable<NonNullable<LabConfigInput['pci']>['functions']>;
  /** Hosts on the switch that answer. */
  readonly responders?: NonNullable<LabConfigInput['networks']>[number]['responders'];
  readonly memory?: string;
  /** Address bits of the IOMMU, or none; 39 when absent. */
  readonly iommu?: false | 39 | 48;
  readonly lmProfile?: 'pairs' | 'linear' | 'none';
  /** `paced` for front doors. */
  readonly clock?: 'virtual' | 'paced';
}

const two = (n: number): string => n.toString(16).padStart(2, '0');
/** `07:00.2` of a requester id. */
const bdfOf = (rid: number): string => `${two(rid >> 8)}:${two((rid >> 3) & 31)}.${rid & 7}`;

/** The lab file of a world. */
export function worldConfig(options: WorldOptions = {}): LabConfigInput {
  const site = siteOf(options);
  const vfs: Record<string, { mac?: string; learning?: boolean }> = { 0: { learning: false } };
  options.macs?.forEach((mac, n) => {
    vfs[n] = { ...vfs[n], mac };
  });
  return {
    memory: options.memory ?? '64M', iommu: options.iommu !== false, iommu_bits: options.iommu || 39,
    pci: {
      root_ports: [{ at: `00:${two(site.port)}.0`, bus: site.bus, buses: site.buses }],
      functions: [{
        at: bdfOf(pfRid(site)), model: 'n3000', link: 'sw0', mtu: options.mtu ?? 65535, mac: options.mac ?? '52:54:00:00:00:09',
        queue_size: options.queueSize ?? 256, queue_pairs: options.queuePairs ?? 1, without: [...(options.without ?? [])], lm_profile: options.lmProfile ?? 'pairs',
        sriov: { total: site.totalVfs, offset: site.offset, stride: site.stride }, vfs,
      }, ...(options.functions ?? [])],
    },
    networks: [{ name: 'sw0', ...(options.responders === undefined ? {} : { responders: options.responders }) }],
  };
}

const pfRid = (site: Site): number => (site.bus << 8) | (site.device << 3);

function siteOf({ site }: WorldOptions): Site {
  return { port: 1, bus: 7, buses: 1, device: 0, offset: 2, stride: 1, totalVfs: 8, ...site };
}

/** A running world. */
export class World {
  readonly lab: Lab;
  readonly site: Site;
  /** sysfs name of the physical function. */
  readonly pf: string;
  readonly #mark: number;

  private constructor(lab: Lab, site: Site) {
    this.lab = lab;
    this.site = site;
    this.pf = `0000:${bdfOf(pfRid(site))}`;
    this.#mark = lab.log.mark;
  }

  /** Boot, load the modules, give the physical function to pci-pf-stub, switch the virtual functions on. */
  static async create(options: WorldOptions = {}): Promise<World> {
    const lab = await createLab({
      config: worldConfig(options),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      ...(options.traceSink === undefined ? {} : { traceSink: options.traceSink }),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    });
    const world = new World(lab, siteOf(options));
    await lab.user(async (p) => {
      if (options.insmodOrder !== undefined) for (const name of options.insmodOrder) await insmod(lab, moduleFile(lab, name));
      else for (const name of options.modules ?? CHAIN_MODULES) await modprobe(lab, p, name);
      await claimPf(p, world.pf);
      await p.writeFile(`/sys/bus/pci/devices/${world.pf}/sriov_numvfs`, `${options.vfs ?? 2}\n`, O_WRONLY);
    });
    return world;
  }

  /** sysfs name of a virtual function. */
  vf(n: number): string {
    return `0000:${bdfOf(pfRid(this.site) + this.site.offset + n * this.site.stride)}`;
  }

  /** The hardware of a virtual function. @throws Error when it is not there */
  hardware(n: number): N3000Vf {
    const found = this.lab.pci.find(this.vf(n).slice(5));
    if (!(found instanceof N3000Vf)) throw new Error(`${this.vf(n)} is no virtual function`);
    return found;
  }

  /** `vdpa dev add`, then the wanted bus driver, whichever took the device first. */
  async addDevice(name: string, vf: number, driver: BusDriver): Promise<void> {
    await this.lab.user(async (p) => {
      await vdpaDevAdd(p, name, `pci/${this.vf(vf)}`);
      await bindTo(p, name, driver);
    });
  }

  async delDevice(name: string): Promise<void> {
    await this.lab.user((p) => vdpaDevDel(p, name));
  }

  async setVfs(count: number): Promise<void> {
    await this.lab.user((p) => p.writeFile(`/sys/bus/pci/devices/${this.pf}/sriov_numvfs`, `${count}\n`, O_WRONLY));
  }

  /** Kernel log lines since the world stood. */
  dmesg(): readonly LogLine[] {
    return this.lab.log.since(this.#mark);
  }

  /** Errors and worse in the kernel log. */
  complaints(): string[] {
    return this.dmesg().filter((line) => line.level <= 3).map((line) => line.text);
  }

  run(): Promise<RunResult> {
    return this.lab.run();
  }

  /** Switch the virtual functions off and shut down. @returns what was left behind */
  async close(): Promise<string[]> {
    await this.setVfs(0);
    return await this.lab.close();
  }
}

/** `driver_override` and a probe: what an administrator does to give a function to a driver that would not take it. */
export async function claim(p: UserProcess, fn: string, driver: string): Promise<void> {
  await p.writeFile(`/sys/bus/pci/devices/${fn}/driver_override`, `${driver}\n`, O_WRONLY);
  await p.writeFile('/sys/bus/pci/drivers_probe', `${fn}\n`, O_WRONLY);
}

/** So the SR-IOV capability of a physical function without a driver is reached. */
export async function claimPf(p: UserProcess, pf: string): Promise<void> {
  await claim(p, pf, 'pci-pf-stub');
}

/** Name of the bus driver that holds a vDPA device; `null` when none does. */
export async function boundTo(p: UserProcess, name: string): Promise<string | null> {
  try {
    return (await p.readlink(`/sys/bus/vdpa/devices/${name}/driver`)).split('/').at(-1) ?? null;
  } catch {
    return null;
  }
}

export async function unbind(p: UserProcess, name: string, driver: string): Promise<void> {
  await p.writeFile(`/sys/bus/vdpa/drivers/${driver}/unbind`, `${name}\n`, O_WRONLY);
}

export async function bind(p: UserProcess, name: string, driver: string): Promise<void> {
  await p.writeFile(`/sys/bus/vdpa/drivers/${driver}/bind`, `${name}\n`, O_WRONLY);
}

/** Give a vDPA device to a bus driver, taking it from the other. */
export async function bindTo(p: UserProcess, name: string, driver: BusDriver): Promise<void> {
  const now = await boundTo(p, name);
  if (now === driver) return;
  if (now !== null) await unbind(p, name, now);
  await bind(p, name, driver);
}

/** The character device below a vDPA device: `/dev/vhost-vdpa-0`. */
export async function vhostPath(p: UserProcess, name: string): Promise<string> {
  const entries = await p.readdir(`/sys/bus/vdpa/devices/${name}`);
  const found = entries.find((e) => /^vhost-vdpa-\d+$/.test(e.name));
  if (found === undefined) throw new Error(`${name} has no vhost-vdpa node`);
  return `/dev/${found.name}`;
}

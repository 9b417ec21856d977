/** The N3000's physical function: a network function like the others, with SR-IOV. */
import type { DmaPort } from '../dma.ts';
import type { NetPort } from '../net/port.ts';
import type { FunctionSite } from '../pci/function.ts';
import type { PciBusHost } from '../pci/host.ts';
import type { ModelContext } from '../pci/model.ts';
import { VirtualFunctions } from '../pci/sriov.ts';
import { N3000Function } from './function.ts';
import { PF_IDS, VF_IDS, pfParts, vfParts } from './image.ts';
import { BAR_REGISTERS, functionBars, VF_ADMIN_OFFSET } from './layout.ts';
import type { N3000FunctionConfig } from './config.ts';
import { defaultMac, macBytes, macPlus } from '../virtio/net-settings.ts';
import type { N3000Settings } from './settings.ts';
import { VfAdmin, VF_ADMIN_SIZE } from './vf-admin.ts';

/** A virtual function: its dirty log may be written by the physical one. */
export class N3000Vf extends N3000Function {
  /** Number of the virtual function. */
  readonly index: number;
  private readonly pf: N3000Pf;

  constructor(pf: N3000Pf, index: number, site: FunctionSite, parts: ReturnType<typeof vfParts>, settings: N3000Settings) {
    super(site, parts, settings);
    this.pf = pf;
    this.index = index;
  }

  /** Six bytes, as the driver reads them. */
  get mac(): Uint8Array {
    return this.net.bytes.slice(0, 6);
  }

  /** The physical function gives it another address, which its driver hears of. */
  setMac(mac: Uint8Array): undefined {
    this.net.setPermanentMac(mac);
    this.configChanged();
  }

  protected override logPort(): DmaPort {
    return this.pf.dma;
  }
}

/** The physical function. */
export class N3000Pf extends N3000Function {
  private readonly virtual: VirtualFunctions<N3000Vf> | null;
  /** Addresses and VLAN tags that were set, which functions have when they come. */
  private readonly vfMacs = new Map<number, Uint8Array>();
  private readonly vfTcis = new Map<number, number>();
  private readonly admin = new VfAdmin({
    mac: (vf) => this.vfs[vf]?.mac ?? null,
    setMac: (vf, mac) => {
      const function_ = this.vfs[vf];
      if (function_ === undefined) return;
      this.vfMacs.set(vf, mac);
      function_.setMac(mac);
    },
    tci: (vf) => (this.vfs[vf] === undefined ? 0 : this.vfTcis.get(vf) ?? 0),
    setTci: (vf, tci) => {
      const function_ = this.vfs[vf];
      if (function_ === undefined) return;
      this.vfTcis.set(vf, tci);
      if (function_.port !== null) function_.port.tci = tci;
    },
  });

  constructor(context: ModelContext, config: N3000FunctionConfig) {
    const { site, host, multifunction, nextFunction } = context;
    const { sriov, queue_pairs: queuePairs, lm_profile: profile = 'pairs' } = config;
    const spec = {
      total: sriov.total, offset: sriov.offset, stride: sriov.stride, deviceId: VF_IDS.device, bars: functionBars(queuePairs, profile),
    };
    const { parts, sriovAt } = pfParts({ ...PF_IDS, ...defined(config.ids) }, queuePairs, spec, site.devfn, multifunction, nextFunction);
    const mac = config.mac === undefined ? defaultMac(site.bus, site.devfn) : macBytes(config.mac);
    const settings: N3000Settings = {
      queuePairs, queueSize: config.queue_size, mtu: config.mtu, mac,
      promisc: config.promisc ?? true, profile, without: config.without ?? [],
    };
    super(site, parts, settings);
    this.plug(plugInto(context, config.link, this.bdf, true));
    this.virtual = sriovAt === 0 ? null : this.virtualFunctions(context, host, sriovAt, spec, config);
  }

  /** The virtual functions that exist now. */
  get vfs(): readonly N3000Vf[] {
    return this.virtual?.all ?? [];
  }

  override readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    return isAdmin(bar, offset) ? this.admin.read(offset - VF_ADMIN_OFFSET) : super.readBar(bar, offset, size);
  }

  override writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    return isAdmin(bar, offset) ? this.admin.write(offset - VF_ADMIN_OFFSET, size, value) : super.writeBar(bar, offset, size, value);
  }

  protected override onReset(): undefined {
    super.onReset();
    // A reset of the physical function takes its virtual ones with it.
    this.virtual?.apply();
  }

  private virtualFunctions(
    context: ModelContext, host: PciBusHost, at: number, spec: ConstructorParameters<typeof VirtualFunctions>[2],
    config: N3000FunctionConfig,
  ): VirtualFunctions<N3000Vf> {
    const parts = vfParts({ ...VF_IDS, vendor: this.config.get(0, 2) }, config.queue_pairs);
    return new VirtualFunctions<N3000Vf>(this, at, spec, host, (index, bus, devfn) => {
      const own = config.vfs[String(index)];
      const mac = this.vfMacs.get(index) ?? (own?.mac === undefined ? macPlus(this.settings.mac, index + 1) : macBytes(own.mac));
      const vf = new N3000Vf(this, index, { ...context.site, bus, devfn }, parts, { ...this.settings, mac });
      vf.plug(plugInto(context, own?.link ?? config.link, vf.bdf, own?.learning ?? true));
      if (vf.port !== null) vf.port.tci = this.vfTcis.get(index) ?? 0;
      return vf;
    });
  }
}

function isAdmin(bar: number, offset: number): boolean {
  return bar === BAR_REGISTERS && offset >= VF_ADMIN_OFFSET && offset < VF_ADMIN_OFFSET + VF_ADMIN_SIZE;
}

function plugInto(context: ModelContext, link: string | undefined, name: string, learning: boolean): NetPort | null {
  return link === undefined ? null : context.networks.get(link)?.attach(name, learning) ?? null;
}

/** The keys of an object that have a value. */
function defined<T extends object>(object: T): Partial<{ [K in keyof T]: NonNullable<T[K]> }> {
  return Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined)) as Partial<{ [K in keyof T]: NonNullable<T[K]> }>;
}

/** The physical function: its configuration space, MSI-X, and the device behind both BARs. */
import { PCI_BASE_ADDRESS_0, PCI_CLASS_NETWORK_ETHERNET, PCI_HEADER_TYPE, PCI_VENDOR_ID_MELLANOX } from '@vdpalab/uapi';
import { describeBars } from '../pci/bars.ts';
import { endpointCapability, msixCapability } from '../pci/capabilities.ts';
import { ConfigImage } from '../pci/config-image.ts';
import { describeHeader, PciFunction } from '../pci/function.ts';
import type { FunctionIds, FunctionParts } from '../pci/function.ts';
import type { ModelContext } from '../pci/model.ts';
import { defaultMac, macBytes } from '../virtio/net-settings.ts';
import type { Chip } from './chip.ts';
import type { ConnectxFunctionConfig } from './config.ts';
import { L2Table } from './l2-table.ts';
import { BAR_REGISTERS, connectxBars, MSIX_PBA_OFFSET, MSIX_TABLE_OFFSET, WINDOW_SIZE } from './layout.ts';
import { MemoryKeys } from './memory-keys.ts';
import type { KeyFault } from './memory-keys.ts';
import { Subfunctions } from './subfunctions.ts';
import { Vhca } from './vhca.ts';

const MULTIFUNCTION = 0x80;
/** Refused accesses of stage one that are remembered. */
const FAULTS_KEPT = 256;

/** Ids of a ConnectX-6 Dx. */
export const CONNECTX_IDS: FunctionIds = {
  vendor: PCI_VENDOR_ID_MELLANOX, device: 0x101d, subvendor: PCI_VENDOR_ID_MELLANOX, subdevice: 0x0016, classCode: PCI_CLASS_NETWORK_ETHERNET, revision: 0,
};

function connectxParts({ subfunctions, vectors }: ConnectxFunctionConfig, multifunction: boolean): FunctionParts {
  const image = new ConfigImage();
  describeHeader(image, CONNECTX_IDS, true);
  if (multifunction) image.put(PCI_HEADER_TYPE, 1, MULTIFUNCTION);
  const bars = connectxBars(subfunctions);
  describeBars(image, PCI_BASE_ADDRESS_0, bars);
  const at = msixCapability(image, vectors, { bar: BAR_REGISTERS, offset: MSIX_TABLE_OFFSET }, { bar: BAR_REGISTERS, offset: MSIX_PBA_OFFSET });
  return { layout: image.build(), bars, express: endpointCapability(image), msix: { at, count: vectors } };
}

/** The device. */
export class ConnectxFunction extends PciFunction {
  readonly vhca: Vhca;
  readonly subfunctions: Subfunctions;
  readonly keys = new MemoryKeys();
  readonly l2: L2Table;
  /** Refused accesses of stage one, oldest first. */
  readonly keyFaults: KeyFault[] = [];
  private cable = true;

  constructor(context: ModelContext, config: ConnectxFunctionConfig) {
    const { site, networks, multifunction } = context;
    super(site, connectxParts(config, multifunction));
    this.l2 = new L2Table(config.subfunctions);
    const mac = config.mac === undefined ? defaultMac(site.bus, site.devfn) : macBytes(config.mac);
    const network = config.link === undefined ? undefined : networks.get(config.link);
    const chip: Chip = {
      name: this.bdf, hw: this.hw, config, keys: this.keys, l2: this.l2,
      dma: () => (this.busMaster ? this.dma : null),
      interrupt: (vector) => void this.msix?.fire(vector) as undefined,
      keyFault: (fault) => this.keyFault(fault),
      plug: (name) => network?.attach(name) ?? null,
      link: () => this.cable && network !== undefined,
    };
    this.subfunctions = new Subfunctions(chip, mac, (type, subType, data) => this.vhca.post(type, subType, data));
    this.vhca = new Vhca(chip, 0, 0, mac, this.subfunctions);
  }

  /** Put the cable in or out; all functions hear of it. */
  setLink(up: boolean): undefined {
    if (up === this.cable) return;
    this.cable = up;
    for (const vhca of [this.vhca, ...this.subfunctions.slots.map((slot) => slot.vhca)]) vhca.linkChanged();
  }

  readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    if (bar !== BAR_REGISTERS) return this.windowOf(offset)?.read(offset % WINDOW_SIZE, size) ?? ones(size);
    if (offset >= MSIX_PBA_OFFSET && offset < MSIX_PBA_OFFSET + 0x1000) return this.msix?.readPending(offset - MSIX_PBA_OFFSET, size) ?? 0;
    if (offset >= MSIX_TABLE_OFFSET && offset < MSIX_PBA_OFFSET) return this.msix?.readTable(offset - MSIX_TABLE_OFFSET, size) ?? 0;
    return this.vhca.read(offset, size);
  }

  writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (bar !== BAR_REGISTERS) this.windowOf(offset)?.write(offset % WINDOW_SIZE, size, value);
    else if (offset >= MSIX_TABLE_OFFSET && offset < MSIX_PBA_OFFSET) this.msix?.writeTable(offset - MSIX_TABLE_OFFSET, size, value);
    else this.vhca.write(offset, size, value);
  }

  protected onReset(): undefined {
    this.subfunctions.reset();
    this.vhca.reset();
    this.l2.clear();
  }

  private windowOf(offset: number): Vhca | null {
    return this.subfunctions.answering(Math.floor(offset / WINDOW_SIZE));
  }

  private keyFault(fault: KeyFault): undefined {
    const { trace } = this.hw;
    if (trace.enabled) trace.emit('key-fault', { device: this.bdf, vhca: fault.vhca, key: fault.key, address: fault.address, write: fault.write, reason: fault.reason });
    if (this.keyFaults.length === FAULTS_KEPT) this.keyFaults.shift();
    this.keyFaults.push(fault);
  }
}

function ones(size: 1 | 2 | 4): number {
  return size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
}

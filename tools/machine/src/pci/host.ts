/** The PCI host bridge: routes configuration cycles to functions, and opens windows for their BARs. */
import type { PciHost } from '@vdpalab/abi';
import type { HwMachine } from '../machine.ts';
import { PCI_IO, PCI_IO_WINDOW, PCI_MEM32, PCI_MEM64 } from '../memory-map.ts';
import type { MmioHandler, MmioRange } from '../mmio.ts';
import type { BarSpace } from './bars.ts';
import { RootPort } from './bridge.ts';
import type { PciFunction, PinWire } from './function.ts';

/** {@link PciHost} of one machine: domain 0, buses 0 to 255. */
export class PciBusHost implements PciHost, BarSpace, PinWire {
  readonly domain = 0;
  readonly firstBus = 0;
  readonly lastBus = 255;
  readonly mem32 = PCI_MEM32;
  readonly mem64 = PCI_MEM64;
  readonly io = { ...PCI_IO, window: PCI_IO_WINDOW };
  private readonly byRid = new Map<number, PciFunction>();
  private readonly ports: RootPort[] = [];
  private readonly hw: HwMachine;
  /** What is sent for a function's pin, by routing id. */
  private readonly pins = new Map<number, { readonly address: number; readonly data: number }>();

  constructor(hw: HwMachine) {
    this.hw = hw;
  }

  /**
   * Plug a function in: it answers at its routing id.
   *
   * @throws RangeError when the id is taken
   */
  plug(fn: PciFunction): undefined {
    const other = this.byRid.get(fn.rid);
    if (other !== undefined) throw new RangeError(`PCI function ${fn.bdf}: the address is taken`);
    this.byRid.set(fn.rid, fn);
    if (fn instanceof RootPort) this.ports.push(fn);
  }

  /** Take a function out; nothing answers at its routing id any more. */
  unplug(fn: PciFunction): undefined {
    if (this.byRid.get(fn.rid) !== fn) return;
    this.byRid.delete(fn.rid);
    fn.remove();
  }

  /** The function at a routing id, whether or not a bridge leads there now. */
  at(rid: number): PciFunction | null {
    return this.byRid.get(rid) ?? null;
  }

  /** All functions, in the order of their routing ids. */
  functions(): readonly PciFunction[] {
    return [...this.byRid.values()].sort((a, b) => a.rid - b.rid);
  }

  /** Reset what is behind a bridge: physical functions, which take their virtual ones with them. */
  resetBuses(from: number, to: number): undefined {
    for (const fn of this.functions()) {
      if (fn.bus >= from && fn.bus <= to && this.byRid.get(fn.rid) === fn) fn.reset();
    }
  }

  /** @throws RangeError when the cycle is not naturally aligned or leaves the 4096 bytes of a function */
  configRead(bus: number, devfn: number, where: number, size: 1 | 2 | 4): number {
    checkCycle(where, size);
    const fn = this.route(bus, devfn);
    return fn === null ? ones(size) : fn.config.read(where, size);
  }

  /** @throws RangeError when the cycle is not naturally aligned or leaves the 4096 bytes of a function */
  configWrite(bus: number, devfn: number, where: number, size: 1 | 2 | 4, value: number): undefined {
    checkCycle(where, size);
    this.route(bus, devfn)?.config.write(where, size, value);
  }

  /** A window for a BAR: only where the bridge forwards, and nobody else answers. */
  open(base: number, size: number, handler: MmioHandler): MmioRange | null {
    const within = (w: { readonly base: number; readonly size: number }): boolean =>
      base >= w.base && base + size <= w.base + w.size;
    if (!within(PCI_MEM32) && !within(PCI_MEM64)) return null;
    if (this.hw.mmio.ranges().some((r) => base < r.base + r.size && r.base < base + size)) return null;
    return this.hw.addMmio(base, size, handler);
  }

  openPorts(port: number, size: number, handler: MmioHandler): MmioRange | null {
    if (port < PCI_IO.base || port + size > PCI_IO.base + PCI_IO.size) return null;
    const base = PCI_IO_WINDOW + port;
    if (this.hw.mmio.ranges().some((r) => base < r.base + r.size && r.base < base + size)) return null;
    return this.hw.addMmio(base, size, handler);
  }

  /** Let a function's pin send a message, or nothing with `null`: the router between pins and the I/O APIC. */
  routePin(bus: number, devfn: number, message: { readonly address: number; readonly data: number } | null): undefined {
    if (message === null) this.pins.delete((bus << 8) | devfn);
    else this.pins.set((bus << 8) | devfn, message);
  }

  interrupt(rid: number): undefined {
    const message = this.pins.get(rid);
    if (message !== undefined) this.hw.irqchip.deliver(rid, message.address, message.data);
  }

  close(range: MmioRange): undefined {
    this.hw.removeMmio(range);
  }

  private route(bus: number, devfn: number): PciFunction | null {
    if (bus !== 0 && !this.ports.some((port) => port.leadsTo(bus))) return null;
    return this.at((bus << 8) | devfn);
  }
}

function ones(size: 1 | 2 | 4): number {
  return size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
}

function checkCycle(where: number, size: 1 | 2 | 4): undefined {
  if (!Number.isInteger(where) || where < 0 || where + size > 4096 || (where & (size - 1)) !== 0) {
    throw new RangeError(`PCI configuration cycle of ${size} bytes at ${where}: not naturally aligned in 4096 bytes`);
  }
}

/** A driver for tests: raw configuration cycles and MMIO, rings by vring's driver side. */
import {
  PCI_BASE_ADDRESS_0, PCI_CAPABILITY_LIST, PCI_CAP_ID_VNDR, PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY,
  PCI_EXT_CAP_ID_SRIOV, PCI_SRIOV_BAR, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_MSE, PCI_SRIOV_CTRL_VFE, PCI_SRIOV_NUM_VF,
  PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_PCI_CAP_BAR,
  VIRTIO_PCI_CAP_CFG_TYPE, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_CAP_ISR_CFG,
  VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_CAP_OFFSET, VIRTIO_PCI_NOTIFY_CAP_MULT, VIRTIO_RING_F_EVENT_IDX,
  vring_size,
} from '@vdpalab/uapi';
import { SplitDriver, splitRingIn } from '@vdpalab/vring';
import type { SplitRingAreas } from '@vdpalab/vring';
import type { RadixTable } from '../iommu/table.ts';
import { createMachine } from '../machine.ts';
import type { HwMachine, MachineOptions } from '../machine.ts';
import { PhysicalMemory, remoteRegion, wasmRegion } from '../ram.ts';
import { createPciHost } from '../pci/create.ts';
import type { NetworkConfig, PciConfig, PciSystem } from '../pci/create.ts';
import type { PciFunction } from '../pci/function.ts';
import type { N3000FunctionConfig } from './config.ts';
import type { N3000Function, N3000Pf } from './index.ts';

const TWO_32 = 0x1_0000_0000;
export const MIB = 0x10_0000;
/** Bus addresses are physical addresses plus this, so that a forgotten translation shows. */
export const IOVA_SHIFT = 0x7000_0000_0000;

/** Whether drivers' memory is another process's from now on, of which devices see a mirror; `bench.hw.ram` is the driver's view. */
export const driverMemory = { remote: false };
const RAM = 64 * MIB;

/** Put a mirror in the place of the machine's RAM. @returns what it mirrors */
function takeRamAway({ ram }: HwMachine): PhysicalMemory {
  const far = new PhysicalMemory([wasmRegion(0, RAM)]);
  const bytes = far.view(0, RAM);
  for (const region of ram.regions) ram.detach(region);
  ram.attach(remoteRegion(0, RAM, (mirror) => ({
    pull: (offset, length) => void mirror.set(bytes.subarray(offset, offset + length), offset) as undefined,
    push: (offset, length) => void bytes.set(mirror.subarray(offset, offset + length), offset) as undefined,
  })));
  return far;
}

/** An N3000 as the lab file's defaults have it. */
export function n3000(over: Partial<N3000FunctionConfig> = {}): N3000FunctionConfig {
  return {
    at: '07:00.0', model: 'n3000', ids: {}, sriov: { total: 8, offset: 2, stride: 1 }, queue_pairs: 1, queue_size: 1024,
    mtu: 1500, link: 'lan', vfs: {}, ...over,
  };
}

/** A machine with one root port, one N3000 and a switch; memory for drivers from 1 MiB on. */
export class Bench {
  readonly hw: HwMachine;
  readonly system: PciSystem;
  readonly interrupts: number[] = [];
  private nextRam = MIB;
  private nextMem = 0x3800_0000_0000;

  constructor(functions: readonly N3000FunctionConfig[] = [n3000()], options: Partial<MachineOptions> = {},
    networks: readonly NetworkConfig[] = [{ name: 'lan', kind: 'switch' }]) {
    const hw = createMachine({
      seed: 1, ramBytes: RAM, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined, ...options,
    });
    const pci: PciConfig = { root_ports: [{ at: '00:01.0', bus: 7, buses: 16, acs: true }], functions };
    this.system = createPciHost(hw, pci, networks);
    this.hw = driverMemory.remote ? { ...hw, ram: takeRamAway(hw) } : hw;
    this.hw.irqchip.onInterrupt = (vector) => void this.interrupts.push(vector) as undefined;
  }

  get pf(): N3000Pf {
    return this.system.find('07:00.0') as N3000Pf;
  }

  function(bdf: string): N3000Function {
    const fn = this.system.find(bdf);
    if (fn === null) throw new Error(`no function at ${bdf}`);
    return fn as N3000Function;
  }

  /** RAM for a driver. @param align bytes */
  ram(size: number, align = 4096): number {
    const at = Math.ceil(this.nextRam / align) * align;
    this.nextRam = at + size;
    return at;
  }

  read(fn: PciFunction, where: number, size: 1 | 2 | 4): number {
    return this.system.host.configRead(fn.bus, fn.devfn, where, size);
  }

  write(fn: PciFunction, where: number, size: 1 | 2 | 4, value: number): undefined {
    this.system.host.configWrite(fn.bus, fn.devfn, where, size, value);
  }

  /** Find a capability. @returns 0 when absent */
  capability(fn: PciFunction, id: number, match: (at: number) => boolean = () => true): number {
    for (let at = this.read(fn, PCI_CAPABILITY_LIST, 1); at !== 0; at = this.read(fn, at + 1, 1)) {
      if (this.read(fn, at, 1) === id && match(at)) return at;
    }
    return 0;
  }

  extended(fn: PciFunction, id: number): number {
    for (let at = 256; at !== 0; ) {
      const header = this.read(fn, at, 4);
      if ((header & 0xffff) === id) return at;
      at = header >>> 20;
    }
    return 0;
  }

  /** Size a 64-bit BAR by all ones. @param copies windows to leave room for. @returns its address */
  assign(fn: PciFunction, register: number, copies = 1): number {
    this.write(fn, register, 4, 0xffff_ffff);
    this.write(fn, register + 4, 4, 0xffff_ffff);
    const low = this.read(fn, register, 4) & ~15;
    const size = (~low >>> 0) + 1;
    this.nextMem = Math.ceil(this.nextMem / (size * copies)) * size * copies;
    this.write(fn, register, 4, this.nextMem >>> 0);
    this.write(fn, register + 4, 4, Math.floor(this.nextMem / TWO_32));
    const at = this.nextMem;
    this.nextMem += size * copies;
    return at;
  }

  /** Switch virtual functions on. @returns their BARs' addresses */
  enableVfs(pf: PciFunction, count: number): readonly number[] {
    const at = this.extended(pf, PCI_EXT_CAP_ID_SRIOV);
    const bars = [0, 2, 4].map((bar) => this.assign(pf, at + PCI_SRIOV_BAR + 4 * bar, count));
    this.write(pf, at + PCI_SRIOV_NUM_VF, 2, count);
    this.write(pf, at + PCI_SRIOV_CTRL, 2, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
    return bars;
  }

  /** A driver of a virtual function. @param bars of VF 0; @param table shared with another; a new one when absent */
  vfDriver(index: number, bars: readonly number[], table?: RadixTable): Driver {
    const fn = this.pf.vfs[index]!;
    const sizes = [0x4000, 2 ** Math.ceil(Math.log2(fn.queues.length * 4096)), 0x1000];
    return new Driver(this, fn, bars.map((at, i) => at + index * sizes[i]!), table);
  }

  /** A driver of the physical function, BARs assigned. */
  pfDriver(fn: N3000Function = this.pf): Driver {
    const bars = [0, 2, 4].map((bar) => this.assign(fn, PCI_BASE_ADDRESS_0 + 4 * bar));
    this.write(fn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    return new Driver(this, fn, bars);
  }
}

/** One queue of a driver. */
export interface DriverQueue {
  readonly index: number;
  readonly ring: SplitDriver;
  readonly areas: SplitRingAreas;
  /** Bus addresses of the three areas. */
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

/** A driver of one function. */
export class Driver {
  readonly bench: Bench;
  readonly fn: N3000Function;
  readonly table: RadixTable | null;
  readonly common: number;
  readonly isr: number;
  readonly device: number;
  readonly notify: number;
  readonly multiplier: number;
  readonly lm: number;
  readonly msixTable: number;
  readonly queues: DriverQueue[] = [];
  features = 0n;
  /** Payload bytes of each receive buffer. */
  bufferSize = 2048;

  constructor(bench: Bench, fn: N3000Function, bars: readonly number[], table?: RadixTable) {
    this.bench = bench;
    this.fn = fn;
    const structure = (type: number): number => {
      const at = bench.capability(fn, PCI_CAP_ID_VNDR, (c) => bench.read(fn, c + VIRTIO_PCI_CAP_CFG_TYPE, 1) === type);
      return bars[bench.read(fn, at + VIRTIO_PCI_CAP_BAR, 1) / 2]! + bench.read(fn, at + VIRTIO_PCI_CAP_OFFSET, 4);
    };
    this.common = structure(VIRTIO_PCI_CAP_COMMON_CFG);
    this.isr = structure(VIRTIO_PCI_CAP_ISR_CFG);
    this.device = structure(VIRTIO_PCI_CAP_DEVICE_CFG);
    this.notify = structure(VIRTIO_PCI_CAP_NOTIFY_CFG);
    const notify = bench.capability(fn, PCI_CAP_ID_VNDR,
      (c) => bench.read(fn, c + VIRTIO_PCI_CAP_CFG_TYPE, 1) === VIRTIO_PCI_CAP_NOTIFY_CFG);
    this.multiplier = bench.read(fn, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
    this.lm = bars[2]!;
    this.msixTable = bars[0]! + 0x2000;
    this.table = table ?? bench.hw.iommu?.createTable() ?? null;
    if (this.table !== null) bench.hw.iommu!.attach(fn.rid, null, this.table);
    bench.write(fn, PCI_COMMAND, 2, bench.read(fn, PCI_COMMAND, 2) | PCI_COMMAND_MASTER);
  }

  r8 = (pa: number): number => this.bench.hw.mmio.read(pa, 1);
  r16 = (pa: number): number => this.bench.hw.mmio.read(pa, 2);
  r32 = (pa: number): number => this.bench.hw.mmio.read(pa, 4);
  w8 = (pa: number, value: number): undefined => this.bench.hw.mmio.write(pa, 1, value);
  w16 = (pa: number, value: number): undefined => this.bench.hw.mmio.write(pa, 2, value);
  w32 = (pa: number, value: number): undefined => this.bench.hw.mmio.write(pa, 4, value);

  /** Let the function reach RAM. @returns the bus address */
  map(pa: number, size: number, prot = 3): number {
    if (this.table === null) return pa;
    const base = Math.floor(pa / 4096) * 4096;
    this.table.map(base + IOVA_SHIFT, base, Math.ceil((pa + size - base) / 4096) * 4096, prot);
    return pa + IOVA_SHIFT;
  }

  get status(): number {
    return this.r8(this.common + 20);
  }

  set status(value: number) {
    this.w8(this.common + 20, value);
  }

  get offered(): bigint {
    this.w32(this.common, 0);
    const lo = this.r32(this.common + 4);
    this.w32(this.common, 1);
    return (BigInt(this.r32(this.common + 4)) << 32n) | BigInt(lo);
  }

  /** Reset and negotiate. @param features on top of VERSION_1 and ACCESS_PLATFORM, as bit numbers */
  negotiate(features: readonly number[] = [VIRTIO_RING_F_EVENT_IDX]): number {
    this.status = 0;
    this.status = 1;
    this.status = 3;
    this.features = 0n;
    for (const bit of [VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, ...features]) this.features |= 1n << BigInt(bit);
    this.w32(this.common + 8, 0);
    this.w32(this.common + 12, Number(this.features & 0xffff_ffffn));
    this.w32(this.common + 8, 1);
    this.w32(this.common + 12, Number(this.features >> 32n));
    this.status = 11;
    return this.status;
  }

  /** Switch MSI-X on and give every vector an interrupt. @returns the machine's vectors */
  enableMsix(): readonly number[] {
    const { bench, fn } = this;
    const at = bench.capability(fn, PCI_CAP_ID_MSIX);
    const count = (bench.read(fn, at + PCI_MSIX_FLAGS, 2) & 0x7ff) + 1;
    const vectors = Array.from({ length: count }, () => bench.hw.irqchip.allocVector(fn.rid));
    vectors.forEach((vector, i) => {
      const { address, data } = bench.hw.irqchip.message(vector);
      this.w32(this.msixTable + 16 * i, address >>> 0);
      this.w32(this.msixTable + 16 * i + 4, Math.floor(address / TWO_32));
      this.w32(this.msixTable + 16 * i + 8, data);
      this.w32(this.msixTable + 16 * i + 12, 0);
    });
    bench.write(fn, at + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    this.w16(this.common + 16, 0);
    return vectors;
  }

  /** Set a queue up and enable it. */
  setUp(index: number, num = 64, vector = index + 1): DriverQueue {
    const base = this.bench.ram(vring_size(num, 4096), 4096);
    const memory = this.bench.hw.ram.find(base, vring_size(num, 4096))!;
    const areas = splitRingIn(memory, base - memory.base, num, 4096);
    memory.u8.fill(0, base - memory.base, base - memory.base + vring_size(num, 4096));
    const desc = this.map(base, vring_size(num, 4096));
    const queue: DriverQueue = {
      index, areas, desc, avail: desc + areas.avail.offset - areas.desc.offset,
      used: desc + areas.used.offset - areas.desc.offset,
      ring: new SplitDriver(areas, { eventIdx: (this.features & (1n << BigInt(VIRTIO_RING_F_EVENT_IDX))) !== 0n }),
    };
    this.queues[index] = queue;
    this.program(queue, vector);
    return queue;
  }

  /** Write a queue's registers and enable it. */
  program(queue: DriverQueue, vector = queue.index + 1): undefined {
    const { common } = this;
    this.w16(common + 22, queue.index);
    this.w16(common + 24, queue.areas.num);
    this.w16(common + 26, vector);
    [queue.desc, queue.avail, queue.used].forEach((address, i) => {
      this.w32(common + 32 + 8 * i, address >>> 0);
      this.w32(common + 36 + 8 * i, Math.floor(address / TWO_32));
    });
    this.w16(common + 28, 1);
  }

  /** A receive and a transmit queue, and DRIVER_OK. */
  start(num = 64, features?: readonly number[]): this {
    this.negotiate(features);
    this.setUp(0, num);
    this.setUp(1, num);
    this.status = 15;
    return this;
  }

  kick(queue: number): undefined {
    this.w16(this.notify + queue * this.multiplier, queue);
  }

  /** Give the device a receive buffer. @returns its physical address */
  addBuffer(size = this.bufferSize, token = 0, mapped = true): number {
    const pa = this.bench.ram(size, 4096);
    const iova = mapped ? this.map(pa, size) : pa + IOVA_SHIFT;
    this.queues[0]!.ring.add(segment(iova, size), 0, 0, 1, token);
    return pa;
  }

  /** Put a frame behind a header into RAM. @returns its physical address */
  store(frame: Uint8Array, header = new Uint8Array(12)): number {
    const pa = this.bench.ram(header.length + frame.length, 4096);
    this.bench.hw.ram.view(pa, header.length).set(header);
    this.bench.hw.ram.view(pa + header.length, frame.length).set(frame);
    return pa;
  }

  /** Send a frame: one buffer, header in front. */
  send(frame: Uint8Array, header = new Uint8Array(12), queue = 1, token = 0): undefined {
    const pa = this.store(frame, header);
    const iova = this.map(pa, header.length + frame.length);
    this.queues[queue]!.ring.add(segment(iova, header.length + frame.length), 0, 1, 0, token);
    if (this.queues[queue]!.ring.kickPrepare()) this.kick(queue);
  }
}

/** One segment for a ring driver. */
export function segment(iova: number, size: number): Uint32Array {
  return Uint32Array.of(iova >>> 0, Math.floor(iova / TWO_32), size);
}

/** An Ethernet frame of `length` bytes with a recognisable payload. */
export function frameOf(to: Uint8Array | 'broadcast', from: Uint8Array, length = 64): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set(to === 'broadcast' ? new Uint8Array(6).fill(0xff) : to.subarray(0, 6), 0);
  frame.set(from.subarray(0, 6), 6);
  frame[12] = 0x88;
  frame[13] = 0xb5;
  for (let i = 14; i < length; i++) frame[i] = i * 7;
  return frame;
}

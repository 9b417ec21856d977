/** Puts a machine together: the kernel's view of it and the hardware's. */
import type { Atomic, LogLine, Machine, PciHost, PlatformDevice } from '@vdpalab/abi';
import { ConsoleLog } from './console-log.ts';
import { newCounters } from './counters.ts';
import type { Counters } from './counters.ts';
import { DmaPort } from './dma.ts';
import type { DmaDoor, DmaObserver } from './dma.ts';
import { requester, PlatformIommu } from './iommu/unit.ts';
import { MessageIrqChip } from './irqchip.ts';
import { MmioBus } from './mmio.ts';
import type { MmioHandler, MmioRange } from './mmio.ts';
import { ForeignMemory } from './foreign.ts';
import { PhysicalMemory, pcRegions } from './ram.ts';
import { hostPacer } from './sched/pacer.ts';
import type { Pacer } from './sched/pacer.ts';
import { DeterministicScheduler } from './sched/scheduler.ts';
import { EventTrace } from './trace.ts';
import type { TraceSink } from './trace.ts';

export interface MachineOptions {
  /** Chooses the order of what may run in any order. */
  readonly seed: number;
  /** Bytes of RAM, a multiple of 4096. */
  readonly ramBytes: number;
  /** Whether there is a platform IOMMU (and, with it, interrupt remapping). */
  readonly iommu: boolean;
  /** Width of IOVAs; 48 when absent. */
  readonly iommuBits?: number;
  /** Interrupt vectors; 65536 when absent. */
  readonly vectors?: number;
  /** Kernel command line. */
  readonly cmdline: string;
  /** `uname -r` */
  readonly release: string;
  /** `virtual` (when absent) jumps to the next timer when idle; `paced` follows real time. */
  readonly clock?: 'virtual' | 'paced';
  /** For tests of a paced clock: real time as somebody moves it; the host's when absent. */
  readonly pacer?: Pacer;
  /** Takes trace events; tracing is off without. */
  readonly traceSink?: TraceSink;
  /** Takes console lines. */
  readonly consoleSink: (line: LogLine) => Atomic;
  /** For tests of the scheduler's gate. */
  readonly gate?: boolean;
}

/** Something that is still there when it should not be. */
export interface Leftover {
  readonly kind: 'task' | 'timer' | 'work' | 'iommu table' | 'iommu attachment' | 'vector' | 'mmio range';
  readonly what: string;
}

/** The hardware's side of a machine: what device models are built against. */
export interface HwMachine {
  /** What the kernel sees. */
  readonly machine: Machine;
  readonly sched: DeterministicScheduler;
  readonly ram: PhysicalMemory;
  /** Where memory of other processes can be put; on a paced clock beside RAM, in the same WebAssembly memory. */
  readonly foreign: ForeignMemory;
  readonly mmio: MmioBus;
  readonly log: ConsoleLog;
  readonly iommu: PlatformIommu | null;
  readonly irqchip: MessageIrqChip;
  readonly trace: EventTrace;
  readonly counters: Counters;
  /** Claim MMIO addresses. @throws RangeError when the range is empty, unaligned or overlaps another */
  readonly addMmio: (base: number, size: number, handler: MmioHandler) => MmioRange;
  readonly removeMmio: (range: MmioRange) => Atomic;
  /** The requester's way to memory: one port for each requester id and PASID, made when first asked for. @param bypass past the IOMMU */
  readonly dmaPort: (rid: number, pasid?: number | null, bypass?: boolean) => DmaPort;
  /** The device is gone: close its port. A later {@link dmaPort} makes a new one. */
  readonly dropDmaPort: (rid: number, pasid?: number | null) => Atomic;
  /** Observe all DMA, or none with `null`. Queues that run already do not notice. */
  readonly observeDma: (observer: DmaObserver | null) => Atomic;
  /** Plug the PCI host bridge in, before the kernel boots. */
  readonly setPci: (host: PciHost) => Atomic;
  readonly addPlatformDevice: (device: PlatformDevice) => Atomic;
  /** What is left: for the report at the end of a scenario. */
  readonly leftovers: () => readonly Leftover[];
}

/**
 * Build a machine.
 *
 * @throws RangeError when an option is out of range
 */
export function createMachine(options: MachineOptions): HwMachine {
  const sched = new DeterministicScheduler({
    seed: options.seed,
    ...(options.gate === undefined ? {} : { gate: options.gate }),
    ...(options.clock === 'paced' ? { pacer: options.pacer ?? hostPacer() } : {}),
  });
  const counters = newCounters();
  const trace = new EventTrace(sched);
  trace.to(options.traceSink ?? null);
  const ram = new PhysicalMemory(pcRegions(options.ramBytes, options.clock === 'paced'));
  const mmio = new MmioBus(sched, counters);
  const iommu = options.iommu ? new PlatformIommu(sched, options.iommuBits) : null;
  const irqchip = new MessageIrqChip(sched, trace, counters, options.iommu, options.vectors ?? 0x1_0000);
  const door: DmaDoor = { sched, ram, iommu, irq: irqchip, trace, counters, observer: null };
  const ports = new Map<string, DmaPort>();
  const platform: PlatformDevice[] = [];
  const log = new ConsoleLog();
  let pci: PciHost | null = null;

  ram.onChange(() => {
    for (const port of ports.values()) port.invalidate();
  });

  const machine: Machine = {
    sched, ram, mmio, iommu, irq: irqchip, platform, trace,
    get pci() {
      return pci;
    },
    cmdline: options.cmdline,
    release: options.release,
    console: (level, facility, text, unfinished = false): Atomic => {
      const line = { level, facility, text, at: sched.now };
      log.write(line, unfinished);
      return options.consoleSink(line);
    },
    log,
  };

  return {
    machine, sched, ram, mmio, log, iommu, irqchip, trace, counters,
    foreign: new ForeignMemory(ram),
    addMmio: (base, size, handler) => mmio.add(base, size, handler),
    removeMmio: (range) => mmio.remove(range),
    dmaPort(rid, pasid = null, bypass = false) {
      const key = requester(rid, pasid);
      let port = ports.get(key);
      if (port === undefined) {
        port = new DmaPort(door, rid, pasid, bypass);
        ports.set(key, port);
      }
      return port;
    },
    dropDmaPort(rid, pasid = null) {
      const key = requester(rid, pasid);
      ports.get(key)?.close();
      ports.delete(key);
    },
    observeDma(observer) {
      door.observer = observer;
    },
    setPci(host) {
      pci = host;
    },
    addPlatformDevice(device) {
      platform.push(device);
    },
    leftovers: () => [
      ...sched.tasks().map((task) => left('task', `${task.name}: ${task.wait?.what ?? task.state}`)),
      ...sched.armedTimers().map((timer) => left('timer', timer.name)),
      ...sched.pendingWorks().map((work) => left('work', work.name)),
      ...(iommu?.tables() ?? []).map((t) => left('iommu table', `${t.id}: ${t.mappedPages} pages mapped`)),
      ...(iommu?.attachments() ?? []).map((e) => left('iommu attachment', requester(e.rid, e.pasid))),
      ...irqchip.vectors().map((vector) => left('vector', `${vector}`)),
      ...mmio.ranges().filter((r) => r.handler.bar !== true).map((r) => left('mmio range', `${r.handler.name} at 0x${r.base.toString(16)}+${r.size}`)),
    ],
  };
}

function left(kind: Leftover['kind'], what: string): Leftover {
  return { kind, what };
}

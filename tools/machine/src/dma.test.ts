import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, EPERM } from '@vdpalab/uapi';
import { ChainBatch, ExtentCache, SplitDevice, SplitDriver, splitRingIn } from '@vdpalab/vring';
import type { TraceEvent } from '@vdpalab/abi';
import { createMachine } from './machine.ts';
import type { HwMachine, MachineOptions } from './machine.ts';
import { wasmRegion } from './ram.ts';

const PAGE = 4096;
const RAM_BYTES = 64 * PAGE;
const RID = 0x0208;
const READ = 1;
const WRITE = 2;

function machineWith(options: Partial<MachineOptions> = {}): HwMachine {
  return createMachine({
    seed: 1, ramBytes: RAM_BYTES, iommu: true, cmdline: '', release: '6.1.0', consoleSink: () => undefined, ...options,
  });
}

function bytes(length: number, from = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

function reasons(hw: HwMachine): string[] {
  return hw.iommu!.faults.map((f) => `${f.write ? 'write' : 'read'} 0x${f.iova.toString(16)} ${f.reason}`);
}

describe('without an IOMMU', () => {
  it('reaches memory at physical addresses, and counts the bytes', () => {
    const hw = machineWith({ iommu: false });
    const port = hw.dmaPort(RID);
    expect(port.write(0x1000, bytes(200))).toBe(true);
    expect([...hw.ram.view(0x1000, 200)]).toEqual([...bytes(200)]);
    const back = new Uint8Array(200);
    expect(port.read(0x1000, 200, back)).toBe(true);
    expect(back).toEqual(bytes(200));
    expect([port.bytesRead, port.bytesWritten]).toEqual([200, 200]);
    expect(hw.counters).toMatchObject({ dmaRead: 200, dmaWritten: 200, faults: 0, aborts: 0 });
  });

  it('reads all ones where there is no RAM, loses writes, and counts aborts', () => {
    const hw = machineWith({ iommu: false });
    const port = hw.dmaPort(RID);
    const into = new Uint8Array(8);
    hw.ram.view(RAM_BYTES - 4, 4).fill(7);
    expect(port.read(RAM_BYTES - 4, 8, into)).toBe(false);
    expect([...into]).toEqual([7, 7, 7, 7, 255, 255, 255, 255]);
    expect(port.write(2 ** 52, bytes(4))).toBe(false);
    expect(hw.counters).toMatchObject({ dmaRead: 4, dmaWritten: 0, aborts: 2, faults: 0 });
  });
});

describe('through the IOMMU', () => {
  it('faults while nothing is attached, logs requester, address and reason, and touches nothing', async () => {
    const hw = machineWith();
    const told: number[] = [];
    hw.iommu!.onFault = (f) => void told.push(f.rid) as undefined;
    const port = hw.dmaPort(RID, 3);
    expect(port.write(0x1000, bytes(4))).toBe(false);
    expect([...hw.ram.view(0x1000, 4)]).toEqual([0, 0, 0, 0]);
    expect(hw.iommu!.faults).toEqual([{ rid: RID, pasid: 3, iova: 0x1000, write: true, reason: 'no-entry', at: 0 }]);
    expect([port.faults, hw.counters.faults]).toEqual([1, 1]);
    await hw.sched.run();
    expect(told).toEqual([RID]);
  });

  it('goes 1:1 when identity is attached and nowhere when blocked is', () => {
    const hw = machineWith();
    const port = hw.dmaPort(RID);
    hw.iommu!.attach(RID, null, 'identity');
    expect(port.write(0x2000, bytes(4))).toBe(true);
    hw.iommu!.attach(RID, null, 'blocked');
    expect(port.write(0x2000, bytes(4, 9))).toBe(false);
    hw.iommu!.detach(RID, null);
    expect(port.read(0x2000, 4, new Uint8Array(4))).toBe(false);
    expect([...hw.ram.view(0x2000, 4)]).toEqual([1, 2, 3, 4]);
    expect(reasons(hw)).toEqual(['write 0x2000 blocked', 'read 0x2000 no-entry']);
  });

  it('translates page by page, also when pages are scattered', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    const iova = 2 ** 40 - 2 * PAGE;
    [7, 3, 9, 4].forEach((page, i) => table.map(iova + i * PAGE, page * PAGE, PAGE, READ | WRITE));
    const data = Uint8Array.from({ length: 3 * PAGE }, (_, i) => (i * 7) & 0xff);
    expect(hw.dmaPort(RID).write(iova + 100, data)).toBe(true);
    expect(hw.ram.view(7 * PAGE + 100, 1)[0]).toBe(data[0]);
    expect(hw.ram.view(3 * PAGE, 1)[0]).toBe(data[PAGE - 100]);
    expect(hw.ram.view(4 * PAGE + 99, 1)[0]).toBe(data[3 * PAGE - 1]);
    const back = new Uint8Array(3 * PAGE);
    expect(hw.dmaPort(RID).read(iova + 100, 3 * PAGE, back)).toBe(true);
    expect(back).toEqual(data);
  });

  it('checks permissions, and does what lies before a refused page', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 0, PAGE, READ | WRITE);
    table.map(PAGE, PAGE, PAGE, READ);
    table.map(2 * PAGE, 2 * PAGE, PAGE, WRITE);
    const port = hw.dmaPort(RID);
    expect(port.write(PAGE - 4, bytes(8))).toBe(false);
    expect([...hw.ram.view(PAGE - 4, 8)]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
    expect(port.read(2 * PAGE, 4, new Uint8Array(4))).toBe(false);
    expect(port.read(3 * PAGE, 4, new Uint8Array(4))).toBe(false);
    expect(reasons(hw)).toEqual(['write 0x1000 permission', 'read 0x2000 permission', 'read 0x3000 not-present']);
    expect(hw.counters).toMatchObject({ dmaWritten: 4, dmaRead: 0, faults: 3 });
  });

  it('does not wrap addresses beyond the aperture', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 0, PAGE, READ | WRITE);
    expect(hw.dmaPort(RID).write(0, bytes(1))).toBe(true);
    expect(hw.dmaPort(RID).write(2 ** 48, bytes(1))).toBe(false);
    const cache = new ExtentCache(hw.dmaPort(RID));
    expect(cache.load(0, 0xffff_0000, 4, WRITE)).toBe(EINVAL);
    expect(reasons(hw)[0]).toBe('write 0x1000000000000 not-present');
  });

  it('keeps requesters apart, and PASIDs of one requester', () => {
    const hw = machineWith();
    for (const [i, [rid, pasid]] of ([[RID, null], [RID, 1], [RID + 1, null]] as const).entries()) {
      const table = hw.iommu!.createTable();
      hw.iommu!.attach(rid, pasid, table);
      table.map(0, i * PAGE, PAGE, READ | WRITE);
      expect(hw.dmaPort(rid, pasid).write(0, Uint8Array.of(i + 1))).toBe(true);
    }
    expect([0, 1, 2].map((i) => hw.ram.view(i * PAGE, 1)[0])).toEqual([1, 2, 3]);
    expect(hw.dmaPort(RID)).toBe(hw.dmaPort(RID, null));
  });

  it('aborts where the table leads beyond RAM', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 0x8000_0000, PAGE, READ);
    expect(hw.dmaPort(RID).read(0, 4, new Uint8Array(4))).toBe(false);
    expect([hw.counters.aborts, hw.counters.faults]).toEqual([1, 0]);
  });

  it('never uses a translation after the call that removed it: unmap, attach, detach, RAM gone', () => {
    const hw = machineWith();
    const port = hw.dmaPort(RID);
    const probe = (): boolean => port.write(0, bytes(1));
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 0, 2 * PAGE, WRITE);
    expect(probe()).toBe(true);
    table.unmap(0, PAGE);
    expect(probe()).toBe(false);
    hw.iommu!.attach(RID, null, 'identity');
    expect(probe()).toBe(true);
    hw.iommu!.detach(RID, null);
    expect(probe()).toBe(false);
    hw.iommu!.attach(RID, null, 'identity');
    expect(probe()).toBe(true);
    hw.ram.detach(hw.ram.regions[0]!);
    expect(probe()).toBe(false);
    hw.ram.attach(wasmRegion(0, PAGE));
    expect(probe()).toBe(true);
  });

  it('agrees with the table page by page after any sequence of changes', () => {
    const change = fc.record({
      op: fc.constantFrom('map', 'unmap', 'probe', 'swap'),
      page: fc.integer({ min: 0, max: 7 }),
      to: fc.integer({ min: 0, max: 63 }),
      prot: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60, size: 'max' }), (changes) => {
        const hw = machineWith();
        const port = hw.dmaPort(RID);
        const tables = [hw.iommu!.createTable(), hw.iommu!.createTable()];
        const models = [new Map<number, { to: number; prot: number }>(), new Map<number, { to: number; prot: number }>()];
        let active = 0;
        hw.iommu!.attach(RID, null, tables[0]!);
        for (let page = 0; page < 64; page++) hw.ram.view(page * PAGE, 1)[0] = page;
        for (const { op, page, to, prot } of changes) {
          const table = tables[active]!;
          const model = models[active]!;
          if (op === 'map' && !model.has(page)) {
            table.map(page * PAGE, to * PAGE, PAGE, prot);
            model.set(page, { to, prot });
          } else if (op === 'unmap') {
            table.unmap(page * PAGE, PAGE);
            model.delete(page);
          } else if (op === 'swap') {
            active = 1 - active;
            hw.iommu!.attach(RID, null, tables[active]!);
          }
          for (let p = 0; p < 8; p++) {
            const expected = models[active]!.get(p);
            const into = new Uint8Array(1);
            const readable = expected !== undefined && (expected.prot & READ) !== 0;
            expect(port.read(p * PAGE, 1, into)).toBe(readable);
            expect(into[0]).toBe(readable ? expected.to : 0xff);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it('lets nothing pass once the device is gone, and starts afresh for the next', () => {
    const hw = machineWith();
    hw.iommu!.attach(RID, null, 'identity');
    const port = hw.dmaPort(RID);
    expect(port.write(0, bytes(1))).toBe(true);
    hw.dropDmaPort(RID);
    const { address, data } = hw.irqchip.message(hw.irqchip.allocVector());
    expect([port.write(0, bytes(1)), port.read(0, 1, new Uint8Array(1)), port.message(address, data)]).toEqual([
      false, false, false,
    ]);
    expect(hw.iommu!.faults).toEqual([]);
    const next = hw.dmaPort(RID);
    expect(next).not.toBe(port);
    expect(next.write(0, bytes(1))).toBe(true);
  });

  it('refuses addresses and lengths that make no sense', () => {
    const port = machineWith().dmaPort(RID);
    expect(() => port.write(-1, bytes(1))).toThrow(RangeError);
    expect(() => port.read(0, 2, new Uint8Array(1))).toThrow(RangeError);
  });
});

describe('a write into the message window', () => {
  it('is an interrupt, not memory, whatever is mapped there, and is not counted as DMA', async () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0xfee0_0000, 0, PAGE, READ | WRITE);
    const fired: number[] = [];
    hw.irqchip.onInterrupt = (vector) => void fired.push(vector) as undefined;
    const vector = hw.irqchip.allocVector(RID);
    const { address, data } = hw.irqchip.message(vector);
    expect(hw.dmaPort(RID).write(address, Uint8Array.of(data, 0, 0, 0))).toBe(true);
    expect(hw.dmaPort(RID).message(address, data)).toBe(true);
    await hw.sched.run();
    expect(fired).toEqual([vector]);
    expect(hw.counters).toMatchObject({ interrupts: 2, dmaWritten: 0 });
    expect(hw.ram.view(0, 1)[0]).toBe(0);
  });

  it('works with nothing attached: interrupts do not pass the table', () => {
    const hw = machineWith();
    const { address, data } = hw.irqchip.message(hw.irqchip.allocVector());
    expect(hw.dmaPort(RID).message(address, data)).toBe(true);
  });

  it('is refused and logged when the vector belongs to another requester, or the write is not 32 bits', () => {
    const hw = machineWith();
    const { address, data } = hw.irqchip.message(hw.irqchip.allocVector(RID + 1));
    const port = hw.dmaPort(RID);
    expect(port.message(address, data)).toBe(false);
    expect(port.write(address, bytes(2))).toBe(false);
    expect(reasons(hw)).toEqual(['write 0xfee00000 blocked', 'write 0xfee00000 blocked']);
    expect(hw.counters.interrupts).toBe(0);
  });

  it('cannot be read, nor looked up by a ring walker', () => {
    const hw = machineWith();
    hw.iommu!.attach(RID, null, 'identity');
    const port = hw.dmaPort(RID);
    expect(port.read(0xfee0_0000, 4, new Uint8Array(4))).toBe(false);
    expect(new ExtentCache(port).load(0xfee0_0000, 0, 4, WRITE)).toBe(EINVAL);
    expect(reasons(hw)).toEqual(['read 0xfee00000 blocked', 'write 0xfee00000 blocked']);
  });

  it('that turns out to be ordinary memory writes four bytes', () => {
    const hw = machineWith({ iommu: false });
    expect(hw.dmaPort(RID).message(0x100, 0x0403_0201)).toBe(true);
    expect([...hw.ram.view(0x100, 4)]).toEqual([1, 2, 3, 4]);
  });
});

describe('lookup for ring walkers', () => {
  it('gives extents of whole contiguous mappings, cut to the RAM region', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(2 ** 39, RAM_BYTES - PAGE, 2 * PAGE, READ);
    const cache = new ExtentCache(hw.dmaPort(RID));
    expect(cache.load(0x10, 0x80, 2 * PAGE, READ)).toBe(0);
    expect([cache.baseLo, cache.baseHi, cache.length, cache.offset]).toEqual([0, 0x80, PAGE, RAM_BYTES - PAGE]);
    expect(cache.memory).toBe(hw.ram.regions[0]);
    expect(cache.load(PAGE, 0x80, 1, READ)).toBe(EFAULT);
    expect(cache.load(0, 0x80, 1, WRITE)).toBe(EPERM);
    expect(cache.load(0, 0x81, 1, WRITE)).toBe(EINVAL);
  });

  it('starts an extent where RAM starts, when a mapping begins before it', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    const large = 512 * PAGE;
    const region = wasmRegion(2 * large + 5 * PAGE, PAGE);
    hw.ram.attach(region);
    table.map(0, 2 * large, large, WRITE);
    const port = hw.dmaPort(RID);
    expect(port.write(4 * PAGE, bytes(4))).toBe(false);
    expect(port.write(5 * PAGE + 8, bytes(4))).toBe(true);
    expect([...region.u8.subarray(8, 12)]).toEqual([1, 2, 3, 4]);
    expect(hw.counters.aborts).toBe(1);
  });

  it('is stale after any change, by the generation', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 0, 2 * PAGE, READ);
    const cache = new ExtentCache(hw.dmaPort(RID));
    expect(cache.reach(0, 0, 4, READ)).toBe(4);
    table.unmap(0, PAGE);
    expect(cache.reach(0, 0, 4, READ)).toBe(0);
    expect(cache.error).toBe(EINVAL);
  });

  it('gives ring areas only when they are contiguous and permitted', () => {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 0x3000, 2 * PAGE, READ);
    table.map(2 * PAGE, 0, PAGE, READ);
    const port = hw.dmaPort(RID);
    expect(port.area(0x10, PAGE, false)).toEqual({ memory: hw.ram.regions[0], offset: 0x3010 });
    expect(port.area(PAGE, 2 * PAGE, false)).toBeNull();
    expect(port.area(0, 4, true)).toBeNull();
    expect(port.area(-1, 4, false)).toBeNull();
  });
});

describe('what the door counts', () => {
  it('equals payload plus ring traffic, for a device that fetches a ring through it', () => {
    const hw = machineWith();
    const region = hw.ram.regions[0]!;
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    const iova = 2 ** 41;
    table.map(iova, 0, RAM_BYTES, READ | WRITE);
    const ring = splitRingIn(region, 0, 16);
    const driver = new SplitDriver(ring);
    const payloads = [60, 1500, 3 * PAGE];
    payloads.forEach((length, token) => {
      const at = iova + (8 + token * 4) * PAGE;
      driver.add(Uint32Array.of(at >>> 0, Math.floor(at / 2 ** 32), length), 0, 1, 0, token);
    });

    const port = hw.dmaPort(RID);
    const fetch = (offset: number, length: number): DataView => {
      const into = new Uint8Array(length);
      expect(port.read(iova + offset, length, into)).toBe(true);
      return new DataView(into.buffer);
    };
    const count = fetch(ring.avail.offset + 2, 2).getUint16(0, true);
    for (let i = 0; i < count; i++) {
      const head = fetch(ring.avail.offset + 4 + 2 * i, 2).getUint16(0, true);
      const desc = fetch(ring.desc.offset + 16 * head, 16);
      const length = desc.getUint32(8, true);
      expect(port.read(Number(desc.getBigUint64(0, true)), length, new Uint8Array(length))).toBe(true);
      port.write(iova + ring.used.offset + 4 + 8 * i, Uint8Array.of(head, 0, 0, 0, 0, 0, 0, 0));
    }
    port.write(iova + ring.used.offset + 2, Uint8Array.of(count, 0));

    const payload = payloads.reduce((a, b) => a + b, 0);
    expect(hw.counters.dmaRead).toBe(payload + 2 + count * (2 + 16));
    expect(hw.counters.dmaWritten).toBe(count * 8 + 2);
    const tokens = new Int32Array(4);
    expect(driver.getMany(tokens, new Uint32Array(4), 4)).toBe(3);
  });

  it('includes what a ring walker moves itself, by report', () => {
    const hw = machineWith();
    const region = hw.ram.regions[0]!;
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 0, RAM_BYTES, READ | WRITE);
    const port = hw.dmaPort(RID);
    const ring = splitRingIn(region, 0, 16);
    const driver = new SplitDriver(ring);
    driver.add(Uint32Array.of(8 * PAGE, 0, 100, 9 * PAGE, 0, 50), 0, 1, 1, 0);
    const device = new SplitDevice(ring, { translate: port });
    const batch = new ChainBatch(4, 16);
    expect(device.walk(batch, 4)).toBe(1);
    port.count(batch.readable(0), batch.writable(0));
    expect([port.bytesRead, port.bytesWritten, hw.counters.dmaRead, hw.counters.dmaWritten]).toEqual([100, 50, 100, 50]);
    expect(batch.memory[0]).toBe(region);
  });
});

describe('the observer', () => {
  interface Seen {
    readonly hw: HwMachine;
    readonly log: string[];
  }

  function observed(): Seen {
    const hw = machineWith();
    const table = hw.iommu!.createTable();
    hw.iommu!.attach(RID, null, table);
    table.map(0, 5 * PAGE, PAGE, READ | WRITE);
    table.map(PAGE, 2 * PAGE, PAGE, READ | WRITE);
    const log: string[] = [];
    hw.observeDma((rid, pa, len, write) => {
      log.push(`${rid} ${write ? 'w' : 'r'} ${pa}+${len}`);
    });
    return { hw, log };
  }

  it('hears physical addresses of every access, piece by piece', () => {
    const { hw, log } = observed();
    hw.dmaPort(RID).write(PAGE - 2, bytes(4));
    hw.dmaPort(RID).read(PAGE, 8, new Uint8Array(8));
    expect(log).toEqual([`${RID} w ${6 * PAGE - 2}+2`, `${RID} w ${2 * PAGE}+2`, `${RID} r ${2 * PAGE}+8`]);
  });

  it('hears what ring walkers mark, and their marks cause no faults', () => {
    const { hw, log } = observed();
    const port = hw.dmaPort(RID);
    port.log?.mark(PAGE - 1, 0, 2);
    port.observe(0, 1, false);
    port.mark(10 * PAGE, 0, 4);
    expect(log).toEqual([`${RID} w ${6 * PAGE - 1}+1`, `${RID} w ${2 * PAGE}+1`, `${RID} r ${5 * PAGE}+1`]);
    expect(hw.iommu!.faults).toEqual([]);
  });

  it('can be absent: then there is no log to call, and marks do nothing', () => {
    const { hw, log } = observed();
    hw.observeDma(null);
    const port = hw.dmaPort(RID);
    expect(port.log).toBeNull();
    port.mark(0, 0, 4);
    port.write(0, bytes(4));
    expect(log).toEqual([]);
  });
});

describe('the trace', () => {
  it('has an event for each access and each fault, with the cause', () => {
    const events: TraceEvent[] = [];
    const hw = machineWith({ traceSink: (event) => void events.push(event) as undefined });
    const port = hw.dmaPort(RID);
    hw.sched.cause = 77;
    port.write(0, bytes(4));
    hw.iommu!.attach(RID, null, 'identity');
    port.write(0, bytes(4));
    hw.sched.cause = 0;
    expect(events.map((e) => [e.type, e.cause, e.fields])).toEqual([
      ['iommu-fault', 77, { rid: RID, iova: 0, write: true, reason: 'no-entry' }],
      ['dma', 77, { rid: RID, iova: 0, len: 0, write: true }],
      ['dma', 77, { rid: RID, iova: 0, len: 4, write: true }],
    ]);
  });
});

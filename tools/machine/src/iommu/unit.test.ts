import { describe, expect, it } from 'vitest';
import type { IommuFault, IommuTable } from '@vdpalab/abi';
import { DeterministicScheduler } from '../sched/scheduler.ts';
import { FAULTS_KEPT } from './faults.ts';
import { PlatformIommu, requester } from './unit.ts';

function newUnit(): { unit: PlatformIommu; sched: DeterministicScheduler } {
  const sched = new DeterministicScheduler({ seed: 1 });
  return { unit: new PlatformIommu(sched), sched };
}

/** A device's cache that counts how often it was emptied. */
function newTlb(): { invalidate: () => undefined; count: number } {
  const tlb = {
    count: 0,
    invalidate() {
      tlb.count++;
      return undefined;
    },
  };
  return tlb;
}

function fault(iova: number): IommuFault {
  return { rid: 0x0100, pasid: null, iova, write: true, reason: 'not-present', at: 0 };
}

describe('PlatformIommu', () => {
  it('lists its tables until they are destroyed', () => {
    const { unit } = newUnit();
    const a = unit.createTable();
    const b = unit.createTable();
    expect(unit.tables()).toEqual([a, b]);
    unit.destroyTable(a);
    expect(unit.tables()).toEqual([b]);
    expect(b.id).not.toBe(a.id);
  });

  it('keeps a table that somebody is attached to', () => {
    const { unit } = newUnit();
    const table = unit.createTable();
    unit.attach(0x0208, null, table);
    expect(() => unit.destroyTable(table)).toThrow(
      expect.objectContaining({ errno: 'EBUSY', message: 'iommu table 1: 1 requesters attached, first 02:01.0' }),
    );
    unit.detach(0x0208, null);
    unit.destroyTable(table);
    expect(unit.tables()).toEqual([]);
  });

  it('refuses tables of others and destroyed ones', () => {
    const { unit } = newUnit();
    const foreign = newUnit().unit.createTable();
    const gone = unit.createTable();
    unit.destroyTable(gone);
    for (const table of [foreign, gone] as IommuTable[]) {
      expect(() => unit.attach(1, null, table)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
      expect(() => unit.destroyTable(table)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
    }
    expect(unit.attachments()).toEqual([]);
  });

  it('keys attachments by requester id and PASID, and replaces them', () => {
    const { unit } = newUnit();
    const table = unit.createTable();
    unit.attach(1, null, 'identity');
    unit.attach(1, 0, table);
    unit.attach(1, 1, 'blocked');
    unit.attach(1, 0, 'blocked');
    expect(unit.attachments().map((e) => [e.rid, e.pasid, e.to])).toEqual([
      [1, null, 'identity'], [1, 0, 'blocked'], [1, 1, 'blocked'],
    ]);
    expect(table.users).toEqual([]);
    unit.detach(1, 0);
    unit.detach(1, 0);
    expect(unit.attachments()).toHaveLength(2);
  });

  it('refuses requester ids and PASIDs out of range', () => {
    const { unit } = newUnit();
    for (const rid of [-1, 0x1_0000, 1.5]) {
      expect(() => unit.attach(rid, null, 'identity')).toThrow(expect.objectContaining({ rule: 'iommu.requester.rid' }));
    }
    for (const pasid of [-1, 0x10_0000]) {
      expect(() => unit.attach(1, pasid, 'identity')).toThrow(
        expect.objectContaining({ rule: 'iommu.requester.pasid' }),
      );
    }
  });

  it('empties the caches of exactly the devices a change concerns, before the change returns', () => {
    const { unit } = newUnit();
    const table = unit.createTable();
    const other = unit.createTable();
    const [mine, same, far] = [newTlb(), newTlb(), newTlb()];
    unit.connect(1, null, mine);
    unit.connect(2, null, same);
    unit.connect(3, null, far);
    unit.attach(1, null, table);
    unit.attach(2, null, table);
    unit.attach(3, null, other);
    expect([mine.count, same.count, far.count]).toEqual([1, 1, 1]);
    table.map(0, 0, 8192, 3);
    other.map(0, 0, 8192, 3);
    expect([mine.count, same.count, far.count]).toEqual([1, 1, 1]);
    table.unmap(0, 4096);
    expect([mine.count, same.count, far.count]).toEqual([2, 2, 1]);
    table.unmap(0, 4096); // nothing was there
    expect([mine.count, same.count, far.count]).toEqual([2, 2, 1]);
    unit.detach(2, null);
    table.unmap(4096, 4096);
    expect([mine.count, same.count, far.count]).toEqual([3, 3, 1]);
  });

  it('takes one cache for each requester, and a new one once the old is gone', () => {
    const { unit } = newUnit();
    const entry = unit.connect(1, null, newTlb());
    expect(() => unit.connect(1, null, newTlb())).toThrow('a second DMA port for 00:00.1');
    unit.attach(1, null, 'blocked');
    unit.disconnect(entry);
    expect(unit.connect(1, null, newTlb()).to).toBe('blocked');
  });

  it('tells the kernel of each fault once, in atomic context, in order', async () => {
    const { unit, sched } = newUnit();
    const told: number[] = [];
    unit.onFault = (f) => {
      expect(sched.atomic).toBe(true);
      told.push(f.iova);
    };
    unit.fault(fault(1));
    unit.fault(fault(2));
    expect(told).toEqual([]);
    await sched.run();
    unit.fault(fault(3));
    await sched.run();
    expect(told).toEqual([1, 2, 3]);
    expect(unit.faults.map((f) => f.iova)).toEqual([1, 2, 3]);
  });

  it('keeps a bounded log, and a storm tells the kernel no more than the log holds', async () => {
    const { unit, sched } = newUnit();
    let told = 0;
    unit.onFault = () => void told++ as undefined;
    for (let i = 0; i < FAULTS_KEPT + 50; i++) unit.fault(fault(i));
    await sched.run();
    expect(unit.faults).toHaveLength(FAULTS_KEPT);
    expect([unit.faults[0]?.iova, told]).toEqual([50, FAULTS_KEPT]);
  });

  it('refuses widths it cannot resolve', () => {
    const { sched } = newUnit();
    expect(() => new PlatformIommu(sched, 57)).toThrow(RangeError);
    expect(new PlatformIommu(sched, 39).apertureEnd).toBe(2 ** 39 - 1);
  });
});

describe('requester', () => {
  it('is written as lspci does', () => {
    expect([requester(0x0200, null), requester(0xaffa, 5)]).toEqual(['02:00.0', 'af:1f.2 PASID 5']);
  });
});

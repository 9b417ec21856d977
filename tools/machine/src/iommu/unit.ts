/** The platform IOMMU: which table each requester goes through. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, IommuAttachment, IommuFault, IommuTable, IommuUnit, Scheduler } from '@vdpalab/abi';
import type { DeviceTlb, IommuEntry } from './entry.ts';
import { FaultLog } from './faults.ts';
import { ADDRESS_BITS } from './radix.ts';
import { RadixTable } from './table.ts';

/** Largest PASID, 20 bits. */
const PASID_MAX = 0xf_ffff;

/** {@link IommuUnit}, with the side devices see. */
export class PlatformIommu implements IommuUnit {
  readonly apertureEnd: number;
  private readonly byId = new Map<number, RadixTable>();
  private readonly entries = new Map<number, IommuEntry>();
  private readonly log: FaultLog;
  private lastId = 0;

  /** @param addressBits width of IOVAs, at most 48 */
  constructor(sched: Scheduler, addressBits = ADDRESS_BITS) {
    if (!Number.isInteger(addressBits) || addressBits < 30 || addressBits > ADDRESS_BITS) {
      throw new RangeError(`IOMMU of ${addressBits} address bits: not 30 to ${ADDRESS_BITS}`);
    }
    this.apertureEnd = 2 ** addressBits - 1;
    this.log = new FaultLog(sched);
  }

  get faults(): readonly IommuFault[] {
    return this.log.entries;
  }

  get onFault(): ((fault: IommuFault) => Atomic) | null {
    return this.log.onFault;
  }

  set onFault(told: ((fault: IommuFault) => Atomic) | null) {
    this.log.onFault = told;
  }

  createTable(): RadixTable {
    const table = new RadixTable(++this.lastId, this.apertureEnd);
    this.byId.set(table.id, table);
    return table;
  }

  /**
   * @throws KernelError EINVAL when it is not a table of this unit
   * @throws KernelError EBUSY when a requester is attached to it
   */
  destroyTable(table: IommuTable): undefined {
    const { users } = this.own(table);
    const [user] = users;
    if (user !== undefined) {
      throw new KernelError('EBUSY', 'iommu.table.attached',
        `iommu table ${table.id}: ${users.length} requesters attached, first ${requester(user.rid, user.pasid)}`);
    }
    this.byId.delete(table.id);
  }

  tables(): readonly RadixTable[] {
    return [...this.byId.values()];
  }

  /**
   * Send a requester's DMA through `to` from now on; replaces what was attached.
   *
   * @throws KernelError EINVAL when the requester id is not 16 bits, the PASID not 20, or the table not of this unit
   */
  attach(rid: number, pasid: number | null, to: IommuAttachment): undefined {
    const table = typeof to === 'string' ? to : this.own(to);
    const entry = this.entry(rid, pasid);
    leave(entry);
    entry.to = table;
    if (typeof table !== 'string') table.users.push(entry);
    entry.tlb?.invalidate();
  }

  detach(rid: number, pasid: number | null): undefined {
    const entry = this.entry(rid, pasid);
    leave(entry);
    entry.to = null;
    entry.tlb?.invalidate();
    this.forget(entry);
  }

  /** Requesters with an attachment, for leak checks. */
  attachments(): readonly IommuEntry[] {
    return [...this.entries.values()].filter((entry) => entry.to !== null);
  }

  /** Let a device's cache hear of changes. @returns its entry, live from now on */
  connect(rid: number, pasid: number | null, tlb: DeviceTlb): IommuEntry {
    const entry = this.entry(rid, pasid);
    if (entry.tlb !== null) throw new Error(`iommu: a second DMA port for ${requester(rid, pasid)}`);
    entry.tlb = tlb;
    return entry;
  }

  /** The device is gone; its attachment stays until the kernel detaches it. */
  disconnect(entry: IommuEntry): undefined {
    entry.tlb = null;
    this.forget(entry);
  }

  /** Log a refused access. */
  fault(fault: IommuFault): undefined {
    this.log.record(fault);
  }

  private own(table: IommuTable): RadixTable {
    const mine = this.byId.get(table.id);
    if (mine === undefined || mine !== table) {
      throw new KernelError('EINVAL', 'iommu.table.unknown', `iommu table ${table.id}: not a table of this unit`);
    }
    return mine;
  }

  private entry(rid: number, pasid: number | null): IommuEntry {
    if (!Number.isInteger(rid) || rid < 0 || rid > 0xffff) {
      throw new KernelError('EINVAL', 'iommu.requester.rid', `requester id ${rid}: not 0 to 65535`);
    }
    if (pasid !== null && (!Number.isInteger(pasid) || pasid < 0 || pasid > PASID_MAX)) {
      throw new KernelError('EINVAL', 'iommu.requester.pasid', `PASID ${pasid}: not 0 to ${PASID_MAX}`);
    }
    const key = keyOf(rid, pasid);
    let entry = this.entries.get(key);
    if (entry === undefined) {
      entry = { rid, pasid, to: null, tlb: null };
      this.entries.set(key, entry);
    }
    return entry;
  }

  private forget(entry: IommuEntry): undefined {
    if (entry.to === null && entry.tlb === null) this.entries.delete(keyOf(entry.rid, entry.pasid));
  }
}

function leave(entry: IommuEntry): undefined {
  if (!(entry.to instanceof RadixTable)) return;
  const { users } = entry.to;
  users.splice(users.indexOf(entry), 1);
}

function keyOf(rid: number, pasid: number | null): number {
  return pasid === null ? rid : (pasid + 1) * 0x1_0000 + rid;
}

/** A requester as lspci writes it, `02:00.1`, with its PASID if it has one. */
export function requester(rid: number, pasid: number | null): string {
  const bus = (rid >> 8).toString(16).padStart(2, '0');
  const device = ((rid >> 3) & 31).toString(16).padStart(2, '0');
  const name = `${bus}:${device}.${rid & 7}`;
  return pasid === null ? name : `${name} PASID ${pasid}`;
}

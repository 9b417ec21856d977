/** The IOTLBs of an open file and the messages about them. Mirrors the IOTLB half of `drivers/vhost/vdpa.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IommuDomain } from '@vdpalab/iommu';
import type { MmStruct } from '@vdpalab/mm';
import { VHOST_IOTLB_BATCH_BEGIN, VHOST_IOTLB_BATCH_END, VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_UPDATE } from '@vdpalab/uapi';
import type { VdpaDevice, VdpaIovaRange } from '@vdpalab/vdpa-core';
import type { VhostIotlbMsg } from '@vdpalab/vhost';
import type { VhostIotlb, VhostIotlbSymbols } from '@vdpalab/vhost-iotlb';
import { Mapper, type MappingSymbols, type Payer, type Space } from './mapping.ts';

const U64_MAX = (1n << 64n) - 1n;
const hex = (n: bigint): string => `0x${n.toString(16)}`;

/** What address spaces take. */
export type AddressSpaceSymbols =
  & MappingSymbols & Pick<VhostIotlbSymbols, 'vhost_iotlb_init'> & Pick<DriverCoreSymbols, 'dev_err' | 'dev_info'>;

/** Where mappings of an open file go, and how many there may be. */
export interface AddressSpaceInit {
  /** The `vhost-vdpa-N` device. */
  readonly dev: Device;
  /** Null for a parent that translates itself. */
  readonly domain: IommuDomain | null;
  readonly range: VdpaIovaRange;
  /** Entries an address space holds at most; 0 for no limit. */
  readonly limit: number;
}

/** All address spaces of one open file. */
export class AddressSpaces {
  readonly #k: AddressSpaceSymbols;
  readonly #vdev: VdpaDevice;
  readonly #init: AddressSpaceInit;
  readonly #mapper: Mapper;
  readonly #iotlbs = new Map<number, VhostIotlb>();
  #batchAsid: number | null = null;

  constructor(k: AddressSpaceSymbols, vdev: VdpaDevice, init: AddressSpaceInit) {
    this.#k = k;
    this.#vdev = vdev;
    this.#init = init;
    this.#mapper = new Mapper(k, vdev, init.dev, init.domain);
  }

  /** A batch that was under way is over, and its changes are not told. */
  endBatch(): Atomic {
    this.#batchAsid = null;
    return undefined;
  }

  /** `vhost_vdpa_process_iotlb_msg`. @throws EINVAL EEXIST EFAULT ENOMEM ENOSPC, and what the parent throws */
  async message(asid: number, msg: VhostIotlbMsg, payer: Payer): Promise<void> {
    const creates = msg.type === VHOST_IOTLB_UPDATE || msg.type === VHOST_IOTLB_BATCH_BEGIN;
    const iotlb = creates ? this.#findOrMake(asid) : this.#iotlbs.get(asid);
    const foreign = this.#batchAsid !== null && this.#batchAsid !== asid;
    if (foreign) this.#k.dev_info(this.#init.dev, `batch id ${this.#batchAsid} asid ${asid}`);
    if (iotlb === undefined) {
      this.#k.dev_err(this.#init.dev, `no iotlb for asid ${asid}`);
      throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.asid', `asid ${asid} has no address space`);
    }
    if (foreign) throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.batch', `asid ${asid} inside a batch of asid ${this.#batchAsid}`);
    const space: Space = { asid, iotlb, batching: this.#batchAsid !== null };
    switch (msg.type) {
      case VHOST_IOTLB_UPDATE: return await this.#update(space, msg, payer);
      case VHOST_IOTLB_INVALIDATE: // no bytes at 0 are all there are, as 64 bits have it
        return await this.#mapper.unmap(space, msg.iova, (msg.iova + msg.size - 1n) & U64_MAX, payer.mm);
      case VHOST_IOTLB_BATCH_BEGIN:
        this.#batchAsid = asid;
        return undefined;
      case VHOST_IOTLB_BATCH_END: return await this.#endOf(space);
      default: throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.kind', `message kind ${msg.type}`);
    }
  }

  /** `vhost_vdpa_remove_as` of all: unmap and forget everything, the file closes. */
  async removeAll(mm: MmStruct | null): Promise<void> {
    this.#batchAsid = null;
    const { reset_map } = this.#vdev.config;
    for (const [asid, iotlb] of [...this.#iotlbs].sort(([a], [b]) => a - b)) {
      this.#iotlbs.delete(asid);
      await this.#mapper.clear({ asid, iotlb, batching: false }, 0n, U64_MAX, mm);
      if (reset_map !== undefined) await this.#mapper.ignoring('reset_map', () => reset_map(this.#vdev, asid));
    }
  }

  #findOrMake(asid: number): VhostIotlb {
    const found = this.#iotlbs.get(asid);
    if (found !== undefined) return found;
    if (asid >= this.#vdev.nas) {
      this.#k.dev_err(this.#init.dev, `can't find and alloc asid ${asid}`);
      throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.asid-range', `asid ${asid} of ${this.#vdev.nas}`);
    }
    const made = this.#k.vhost_iotlb_init(this.#init.limit, 0);
    this.#iotlbs.set(asid, made);
    return made;
  }

  /** BATCH_END: what was postponed is told now, once. */
  async #endOf({ asid, iotlb, batching }: Space): Promise<void> {
    this.#batchAsid = null;
    const { set_map } = this.#vdev.config;
    if (batching && set_map !== undefined) await this.#mapper.ignoring('set_map', () => set_map(this.#vdev, asid, iotlb));
  }

  async #update(space: Space, msg: VhostIotlbMsg, payer: Payer): Promise<void> {
    const { first, last } = this.#init.range;
    const end = msg.iova + msg.size - 1n;
    if (msg.size === 0n || msg.iova < first || end > U64_MAX || end > last) {
      throw new KernelError('EINVAL', 'vhost_vdpa.iotlb.range', `${hex(msg.iova)}+${hex(msg.size)} is not inside ${hex(first)}-${hex(last)}`);
    }
    if (this.#k.vhost_iotlb_itree_first(space.iotlb, msg.iova, end) !== null) {
      throw new KernelError('EEXIST', 'vhost_vdpa.iotlb.overlap', `${hex(msg.iova)}+${hex(msg.size)} overlaps a mapping`);
    }
    await this.#mapper.map(space, msg, payer);
  }
}

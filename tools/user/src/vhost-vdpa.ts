/** A vhost-vdpa device file as a front-end sees it: one method per ioctl and message. */
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_SHARED, O_RDWR, PROT_WRITE, VHOST_GET_BACKEND_FEATURES, VHOST_IOTLB_BATCH_BEGIN, VHOST_IOTLB_BATCH_END, VHOST_IOTLB_INVALIDATE,
  VHOST_IOTLB_MSG_V2, VHOST_IOTLB_UPDATE, VHOST_SET_BACKEND_FEATURES, VHOST_VDPA_GET_CONFIG_SIZE, VHOST_VDPA_GET_IOVA_RANGE,
  VHOST_VDPA_GET_VQS_COUNT, VHOST_VDPA_GET_VRING_GROUP, VHOST_VDPA_RESUME, VHOST_VDPA_SET_CONFIG_CALL, VHOST_VDPA_SET_GROUP_ASID,
  VHOST_VDPA_SUSPEND, vhost_msg_v2, vhost_vdpa_iova_range, vhost_vring_state,
} from '@vdpalab/uapi';
import { Scratch } from './scratch.ts';
import { le, VhostIoctls } from './vhost-ioctls.ts';

const PAGE_SIZE = 4096;

/** An open /dev/vhost-vdpa-N. */
export class VhostVdpaFile extends VhostIoctls {
  /** @throws EBUSY when somebody has it open; ENOTSUPP without an IOMMU the parent needs */
  static async open(p: UserProcess, path: string): Promise<VhostVdpaFile> {
    const fd = await p.open(path, O_RDWR);
    return new VhostVdpaFile(p, fd, await Scratch.create(p));
  }

  backendFeatures(): Promise<bigint> {
    return this.get(VHOST_GET_BACKEND_FEATURES, 8);
  }

  async setBackendFeatures(features: bigint): Promise<void> {
    await this.set(VHOST_SET_BACKEND_FEATURES, le(features, 8));
  }

  vqsCount(): Promise<number> {
    return this.getNumber(VHOST_VDPA_GET_VQS_COUNT, 4);
  }

  configSize(): Promise<number> {
    return this.getNumber(VHOST_VDPA_GET_CONFIG_SIZE, 4);
  }

  async iovaRange(): Promise<{ readonly first: bigint; readonly last: bigint }> {
    return vhost_vdpa_iova_range.decode(await this.scratch.ioctl(this.fd, VHOST_VDPA_GET_IOVA_RANGE, new Uint8Array(vhost_vdpa_iova_range.size)));
  }

  /** @param fd an eventfd, or -1 */
  async setConfigCall(fd: number): Promise<void> {
    await this.set(VHOST_VDPA_SET_CONFIG_CALL, le(fd, 4));
  }

  /** @throws EOPNOTSUPP when the parent has one group */
  async vringGroup(index: number): Promise<number> {
    return vhost_vring_state.decode(await this.scratch.ioctl(this.fd, VHOST_VDPA_GET_VRING_GROUP, vhost_vring_state.encode({ index }))).num;
  }

  /** @throws EINVAL EOPNOTSUPP for a group or an address space there is not */
  async setGroupAsid(group: number, asid: number): Promise<void> {
    await this.set(VHOST_VDPA_SET_GROUP_ASID, vhost_vring_state.encode({ index: group, num: asid }));
  }

  /** Let the device reach `[uaddr, uaddr + size)` of this process at `iova`. @param perm VHOST_ACCESS_* */
  map(iova: bigint, size: bigint, uaddr: bigint, perm: number, asid = 0): Promise<number> {
    return this.#message({ type: VHOST_IOTLB_UPDATE, iova, size, uaddr, perm }, asid);
  }

  unmap(iova: bigint, size: bigint, asid = 0): Promise<number> {
    return this.#message({ type: VHOST_IOTLB_INVALIDATE, iova, size, uaddr: 0n, perm: 0 }, asid);
  }

  batchBegin(): Promise<number> {
    return this.#message({ type: VHOST_IOTLB_BATCH_BEGIN, iova: 0n, size: 0n, uaddr: 0n, perm: 0 });
  }

  batchEnd(): Promise<number> {
    return this.#message({ type: VHOST_IOTLB_BATCH_END, iova: 0n, size: 0n, uaddr: 0n, perm: 0 });
  }

  /** Stop the device with its queues' state to be read. @throws EOPNOTSUPP when the parent cannot */
  suspend(): Promise<number> {
    return this.p.ioctl(this.fd, VHOST_VDPA_SUSPEND);
  }

  /** Let a suspended device go on. @throws EOPNOTSUPP when the parent cannot */
  resume(): Promise<number> {
    return this.p.ioctl(this.fd, VHOST_VDPA_RESUME);
  }

  /** The doorbell page of a queue: a 16-bit store of the queue index rings it. @returns its address */
  mapDoorbell(index: number): Promise<number> {
    return this.p.mmap(PAGE_SIZE, PROT_WRITE, MAP_SHARED, this.fd, index * PAGE_SIZE);
  }

  #message(iotlb: { type: number; iova: bigint; size: bigint; uaddr: bigint; perm: number }, asid = 0): Promise<number> {
    return this.p.write(this.fd, vhost_msg_v2.encode({ type: VHOST_IOTLB_MSG_V2, asid, iotlb }));
  }
}

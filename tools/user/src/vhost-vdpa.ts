/** A vhost-vdpa device file as a front-end sees it: one method per ioctl and message. */
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_SHARED, O_RDWR, PROT_WRITE, VHOST_GET_BACKEND_FEATURES, VHOST_GET_FEATURES, VHOST_GET_VRING_BASE, VHOST_IOTLB_BATCH_BEGIN,
  VHOST_IOTLB_BATCH_END, VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_MSG_V2, VHOST_IOTLB_UPDATE, VHOST_SET_BACKEND_FEATURES,
  VHOST_SET_FEATURES, VHOST_SET_OWNER, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE, VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK,
  VHOST_SET_VRING_NUM, VHOST_VDPA_GET_CONFIG, VHOST_VDPA_GET_CONFIG_SIZE, VHOST_VDPA_GET_DEVICE_ID, VHOST_VDPA_GET_IOVA_RANGE,
  VHOST_VDPA_GET_STATUS, VHOST_VDPA_GET_VQS_COUNT, VHOST_VDPA_GET_VRING_NUM, VHOST_VDPA_SET_CONFIG_CALL, VHOST_VDPA_SET_STATUS,
  VHOST_VDPA_RESUME, VHOST_VDPA_SET_VRING_ENABLE, VHOST_VDPA_SUSPEND, vhost_msg_v2, vhost_vdpa_config, vhost_vdpa_iova_range, vhost_vring_addr, vhost_vring_file,
  vhost_vring_state,
} from '@vdpalab/uapi';
import { DeviceFile } from './device-file.ts';
import { Scratch } from './scratch.ts';

const PAGE_SIZE = 4096;

function number(bytes: Uint8Array): bigint {
  return bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);
}

function le(value: number | bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes.subarray(0, size);
}

/** An open /dev/vhost-vdpa-N. */
export class VhostVdpaFile extends DeviceFile {
  /** @throws EBUSY when somebody has it open; ENOTSUPP without an IOMMU the parent needs */
  static async open(p: UserProcess, path: string): Promise<VhostVdpaFile> {
    const fd = await p.open(path, O_RDWR);
    return new VhostVdpaFile(p, fd, await Scratch.create(p));
  }

  setOwner(): Promise<number> {
    return this.p.ioctl(this.fd, VHOST_SET_OWNER);
  }

  deviceId(): Promise<number> {
    return this.#getNumber(VHOST_VDPA_GET_DEVICE_ID, 4);
  }

  status(): Promise<number> {
    return this.#getNumber(VHOST_VDPA_GET_STATUS, 1);
  }

  async setStatus(status: number): Promise<void> {
    await this.#set(VHOST_VDPA_SET_STATUS, le(status, 1));
  }

  features(): Promise<bigint> {
    return this.#get(VHOST_GET_FEATURES, 8);
  }

  async setFeatures(features: bigint): Promise<void> {
    await this.#set(VHOST_SET_FEATURES, le(features, 8));
  }

  backendFeatures(): Promise<bigint> {
    return this.#get(VHOST_GET_BACKEND_FEATURES, 8);
  }

  async setBackendFeatures(features: bigint): Promise<void> {
    await this.#set(VHOST_SET_BACKEND_FEATURES, le(features, 8));
  }

  /** Largest queue, in descriptors. */
  vringNum(): Promise<number> {
    return this.#getNumber(VHOST_VDPA_GET_VRING_NUM, 2);
  }

  vqsCount(): Promise<number> {
    return this.#getNumber(VHOST_VDPA_GET_VQS_COUNT, 4);
  }

  configSize(): Promise<number> {
    return this.#getNumber(VHOST_VDPA_GET_CONFIG_SIZE, 4);
  }

  async iovaRange(): Promise<{ readonly first: bigint; readonly last: bigint }> {
    return vhost_vdpa_iova_range.decode(await this.scratch.ioctl(this.fd, VHOST_VDPA_GET_IOVA_RANGE, new Uint8Array(vhost_vdpa_iova_range.size)));
  }

  async config(off: number, len: number): Promise<Uint8Array> {
    const head = vhost_vdpa_config.size;
    const bytes = new Uint8Array(head + len);
    bytes.set(vhost_vdpa_config.encode({ off, len }));
    return (await this.scratch.ioctl(this.fd, VHOST_VDPA_GET_CONFIG, bytes)).slice(head);
  }

  /** @param fd an eventfd, or -1 */
  async setConfigCall(fd: number): Promise<void> {
    await this.#set(VHOST_VDPA_SET_CONFIG_CALL, le(fd, 4));
  }

  async setVringNum(index: number, num: number): Promise<void> {
    await this.#set(VHOST_SET_VRING_NUM, vhost_vring_state.encode({ index, num }));
  }

  async setVringBase(index: number, num: number): Promise<void> {
    await this.#set(VHOST_SET_VRING_BASE, vhost_vring_state.encode({ index, num }));
  }

  async vringBase(index: number): Promise<number> {
    return vhost_vring_state.decode(await this.scratch.ioctl(this.fd, VHOST_GET_VRING_BASE, vhost_vring_state.encode({ index }))).num;
  }

  /** Addresses as the device sees them. */
  async setVringAddr(index: number, desc: bigint, avail: bigint, used: bigint): Promise<void> {
    await this.#set(VHOST_SET_VRING_ADDR, vhost_vring_addr.encode({ index, desc_user_addr: desc, avail_user_addr: avail, used_user_addr: used }));
  }

  async setVringKick(index: number, fd: number): Promise<void> {
    await this.#set(VHOST_SET_VRING_KICK, vhost_vring_file.encode({ index, fd }));
  }

  async setVringCall(index: number, fd: number): Promise<void> {
    await this.#set(VHOST_SET_VRING_CALL, vhost_vring_file.encode({ index, fd }));
  }

  async setVringEnable(index: number, on: boolean): Promise<void> {
    await this.#set(VHOST_VDPA_SET_VRING_ENABLE, vhost_vring_state.encode({ index, num: on ? 1 : 0 }));
  }

  /** Let the device reach `[uaddr, uaddr + size)` of this process at `iova`. @param perm VHOST_ACCESS_* */
  map(iova: bigint, size: bigint, uaddr: bigint, perm: number): Promise<number> {
    return this.#message({ type: VHOST_IOTLB_UPDATE, iova, size, uaddr, perm });
  }

  unmap(iova: bigint, size: bigint): Promise<number> {
    return this.#message({ type: VHOST_IOTLB_INVALIDATE, iova, size, uaddr: 0n, perm: 0 });
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

  #message(iotlb: { type: number; iova: bigint; size: bigint; uaddr: bigint; perm: number }): Promise<number> {
    return this.p.write(this.fd, vhost_msg_v2.encode({ type: VHOST_IOTLB_MSG_V2, iotlb }));
  }

  async #get(cmd: number, size: number): Promise<bigint> {
    return number(await this.scratch.ioctl(this.fd, cmd, new Uint8Array(size)));
  }

  async #getNumber(cmd: number, size: number): Promise<number> {
    return Number(await this.#get(cmd, size));
  }

  async #set(cmd: number, bytes: Uint8Array): Promise<void> {
    await this.scratch.ioctl(this.fd, cmd, bytes);
  }
}

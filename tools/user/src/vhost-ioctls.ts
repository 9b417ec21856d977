/** The vhost ioctls on a device file, as vhost-vdpa and vhost-mdev answer them. */
import type { UserProcess } from '@vdpalab/lab';
import {
  VHOST_GET_FEATURES, VHOST_GET_VRING_BASE, VHOST_SET_FEATURES, VHOST_SET_OWNER, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE,
  VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK, VHOST_SET_VRING_NUM, VHOST_VDPA_GET_CONFIG, VHOST_VDPA_GET_DEVICE_ID, VHOST_VDPA_GET_STATUS,
  VHOST_VDPA_GET_VRING_NUM, VHOST_VDPA_SET_STATUS, VHOST_VDPA_SET_VRING_ENABLE, vhost_vdpa_config, vhost_vring_addr, vhost_vring_file,
  vhost_vring_state,
} from '@vdpalab/uapi';
import { DeviceFile } from './device-file.ts';
import { Scratch } from './scratch.ts';

function number(bytes: Uint8Array): bigint {
  return bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);
}

/** A number as an ioctl takes it. @param size bytes */
export function le(value: number | bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes.subarray(0, size);
}

/** An open device that takes vhost ioctls. */
export class VhostIoctls extends DeviceFile {
  /** Around a descriptor that is open already. */
  static async of(p: UserProcess, fd: number): Promise<VhostIoctls> {
    return new VhostIoctls(p, fd, await Scratch.create(p));
  }

  /** Free the room for arguments, and leave the descriptor open for whoever has it. */
  async forget(): Promise<void> {
    await this.scratch.free();
  }

  setOwner(): Promise<number> {
    return this.p.ioctl(this.fd, VHOST_SET_OWNER);
  }

  deviceId(): Promise<number> {
    return this.getNumber(VHOST_VDPA_GET_DEVICE_ID, 4);
  }

  status(): Promise<number> {
    return this.getNumber(VHOST_VDPA_GET_STATUS, 1);
  }

  async setStatus(status: number): Promise<void> {
    await this.set(VHOST_VDPA_SET_STATUS, le(status, 1));
  }

  features(): Promise<bigint> {
    return this.get(VHOST_GET_FEATURES, 8);
  }

  async setFeatures(features: bigint): Promise<void> {
    await this.set(VHOST_SET_FEATURES, le(features, 8));
  }

  /** Largest queue, in descriptors. */
  vringNum(): Promise<number> {
    return this.getNumber(VHOST_VDPA_GET_VRING_NUM, 2);
  }

  async config(off: number, len: number): Promise<Uint8Array> {
    const head = vhost_vdpa_config.size;
    const bytes = new Uint8Array(head + len);
    bytes.set(vhost_vdpa_config.encode({ off, len }));
    return (await this.scratch.ioctl(this.fd, VHOST_VDPA_GET_CONFIG, bytes)).slice(head);
  }

  async setVringNum(index: number, num: number): Promise<void> {
    await this.set(VHOST_SET_VRING_NUM, vhost_vring_state.encode({ index, num }));
  }

  async setVringBase(index: number, num: number): Promise<void> {
    await this.set(VHOST_SET_VRING_BASE, vhost_vring_state.encode({ index, num }));
  }

  async vringBase(index: number): Promise<number> {
    return vhost_vring_state.decode(await this.scratch.ioctl(this.fd, VHOST_GET_VRING_BASE, vhost_vring_state.encode({ index }))).num;
  }

  /** Addresses as the device sees them. */
  async setVringAddr(index: number, desc: bigint, avail: bigint, used: bigint): Promise<void> {
    await this.set(VHOST_SET_VRING_ADDR, vhost_vring_addr.encode({ index, desc_user_addr: desc, avail_user_addr: avail, used_user_addr: used }));
  }

  async setVringKick(index: number, fd: number): Promise<void> {
    await this.set(VHOST_SET_VRING_KICK, vhost_vring_file.encode({ index, fd }));
  }

  async setVringCall(index: number, fd: number): Promise<void> {
    await this.set(VHOST_SET_VRING_CALL, vhost_vring_file.encode({ index, fd }));
  }

  async setVringEnable(index: number, on: boolean): Promise<void> {
    await this.set(VHOST_VDPA_SET_VRING_ENABLE, vhost_vring_state.encode({ index, num: on ? 1 : 0 }));
  }

  protected async get(cmd: number, size: number): Promise<bigint> {
    return number(await this.scratch.ioctl(this.fd, cmd, new Uint8Array(size)));
  }

  protected async getNumber(cmd: number, size: number): Promise<number> {
    return Number(await this.get(cmd, size));
  }

  protected async set(cmd: number, bytes: Uint8Array): Promise<void> {
    await this.scratch.ioctl(this.fd, cmd, bytes);
  }
}

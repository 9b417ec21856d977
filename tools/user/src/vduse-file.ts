/** VDUSE's device nodes as the process that is the device sees them: one method per ioctl and message. */
import type { UserProcess } from '@vdpalab/lab';
import {
  O_NONBLOCK, O_RDWR, VDUSE_CREATE_DEV, VDUSE_DESTROY_DEV, VDUSE_DEV_GET_FEATURES, VDUSE_DEV_INJECT_CONFIG_IRQ, VDUSE_DEV_SET_CONFIG,
  VDUSE_IOTLB_DEREG_UMEM, VDUSE_IOTLB_GET_FD, VDUSE_IOTLB_GET_INFO, VDUSE_IOTLB_REG_UMEM, VDUSE_NAME_MAX, VDUSE_VQ_GET_INFO,
  VDUSE_VQ_INJECT_IRQ, VDUSE_VQ_SETUP, VDUSE_VQ_SETUP_KICKFD, vduse_config_data, vduse_dev_config, vduse_dev_request,
  vduse_dev_response, vduse_iotlb_entry, vduse_iova_info, vduse_iova_umem, vduse_vq_config, vduse_vq_eventfd, vduse_vq_info,
  type VduseDevConfig, type VduseDevRequest, type VduseIotlbEntry, type VduseIovaInfo, type VduseIovaUmem, type VduseVqInfo,
} from '@vdpalab/uapi';
import { DeviceFile } from './device-file.ts';
import { Scratch } from './scratch.ts';

const CONTROL = '/dev/vduse/control';

/** A name as the kernel takes it: ASCII, zeros behind. */
function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(VDUSE_NAME_MAX);
  bytes.set(new TextEncoder().encode(name).subarray(0, VDUSE_NAME_MAX - 1));
  return bytes;
}

/** One call on the control node. */
async function control(p: UserProcess, cmd: number, bytes: Uint8Array): Promise<void> {
  const fd = await p.open(CONTROL, O_RDWR);
  const scratch = await Scratch.create(p);
  try {
    await scratch.ioctl(fd, cmd, bytes);
  } finally {
    await scratch.free();
    await p.close(fd);
  }
}

/**
 * Set up a device; `vdpa dev add name NAME mgmtdev vduse` puts it on the bus once its queues have their sizes.
 *
 * @throws EINVAL for a configuration the kernel does not take; EEXIST
 */
export async function createVduse(p: UserProcess, name: string, init: Partial<VduseDevConfig>, config: Uint8Array): Promise<void> {
  const head = vduse_dev_config.encode({ ...init, name: nameBytes(name), config_size: init.config_size ?? config.length });
  const bytes = new Uint8Array(head.length + config.length);
  bytes.set(head);
  bytes.set(config, head.length);
  await control(p, VDUSE_CREATE_DEV, bytes);
}

/** Take it away. @throws EINVAL when there is none; EBUSY while it is open or on the bus */
export async function destroyVduse(p: UserProcess, name: string): Promise<void> {
  await control(p, VDUSE_DESTROY_DEV, nameBytes(name));
}

/** An open /dev/vduse/NAME. */
export class VduseFile extends DeviceFile {
  /** @throws EBUSY when another process serves it */
  static async open(p: UserProcess, name: string): Promise<VduseFile> {
    const fd = await p.open(`/dev/vduse/${name}`, O_RDWR | O_NONBLOCK);
    return new VduseFile(p, fd, await Scratch.create(p));
  }

  /** @throws EAGAIN when the kernel asks nothing */
  async request(): Promise<VduseDevRequest> {
    return vduse_dev_request.decode(await this.p.read(this.fd, vduse_dev_request.size));
  }

  /** @param body the union of the response. @throws ENOENT when nothing with that id was asked */
  async respond(id: number, result: number, body: Uint8Array = new Uint8Array()): Promise<void> {
    const padding = new Uint8Array(128);
    padding.set(body);
    await this.p.write(this.fd, vduse_dev_response.encode({ request_id: id, result, padding }));
  }

  async features(): Promise<bigint> {
    return new DataView((await this.#call(VDUSE_DEV_GET_FEATURES, new Uint8Array(8))).slice().buffer).getBigUint64(0, true);
  }

  /** What drivers read of the configuration from now on. */
  async setConfig(offset: number, bytes: Uint8Array): Promise<void> {
    const argument = new Uint8Array(vduse_config_data.size + bytes.length);
    argument.set(vduse_config_data.encode({ offset, length: bytes.length }));
    argument.set(bytes, vduse_config_data.size);
    await this.#call(VDUSE_DEV_SET_CONFIG, argument);
  }

  async injectConfigIrq(): Promise<void> {
    await this.p.ioctl(this.fd, VDUSE_DEV_INJECT_CONFIG_IRQ);
  }

  /** @param maxSize descriptors */
  async setupVq(index: number, maxSize: number): Promise<void> {
    await this.#call(VDUSE_VQ_SETUP, vduse_vq_config.encode({ index, max_size: maxSize }));
  }

  async vqInfo(index: number): Promise<VduseVqInfo> {
    return vduse_vq_info.decode(await this.#call(VDUSE_VQ_GET_INFO, vduse_vq_info.encode({ index })));
  }

  /** @param fd an eventfd, or -1 */
  async setKickfd(index: number, fd: number): Promise<void> {
    await this.#call(VDUSE_VQ_SETUP_KICKFD, vduse_vq_eventfd.encode({ index, fd }));
  }

  async injectIrq(index: number): Promise<void> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, index, true);
    await this.#call(VDUSE_VQ_INJECT_IRQ, bytes);
  }

  /** The first range that overlaps, with a descriptor to map it by. @throws EINVAL when there is none */
  async iotlbFd(start: bigint, last: bigint): Promise<{ readonly fd: number; readonly entry: VduseIotlbEntry }> {
    const { value, bytes } = await this.scratch.call(this.fd, VDUSE_IOTLB_GET_FD, vduse_iotlb_entry.encode({ start, last }));
    return { fd: value, entry: vduse_iotlb_entry.decode(bytes) };
  }

  async iotlbInfo(start: bigint, last: bigint): Promise<VduseIovaInfo> {
    return vduse_iova_info.decode(await this.#call(VDUSE_IOTLB_GET_INFO, vduse_iova_info.encode({ start, last })));
  }

  async registerMemory(umem: Partial<VduseIovaUmem>): Promise<void> {
    await this.#call(VDUSE_IOTLB_REG_UMEM, vduse_iova_umem.encode(umem));
  }

  async deregisterMemory(umem: Partial<VduseIovaUmem>): Promise<void> {
    await this.#call(VDUSE_IOTLB_DEREG_UMEM, vduse_iova_umem.encode(umem));
  }

  #call(cmd: number, bytes: Uint8Array): Promise<Uint8Array> {
    return this.scratch.ioctl(this.fd, cmd, bytes);
  }
}

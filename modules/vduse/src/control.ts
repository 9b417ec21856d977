/** `/dev/vduse/control`: devices come and go. Mirrors `vduse_ioctl` in `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import {
  VDUSE_API_VERSION, VDUSE_CREATE_DEV, VDUSE_DESTROY_DEV, VDUSE_GET_API_VERSION, VDUSE_NAME_MAX, VDUSE_SET_API_VERSION,
  VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_F_ACCESS_PLATFORM, vduse_dev_config, type VduseDevConfig, get_user, put_user,
} from '@vdpalab/uapi';
import { ALLOWED_DEVICES } from './management.ts';

const PAGE_SIZE = 4096;
/** Queues of a device at most. */
const VQS_MAX = 0xffff;

/** What the control node does to the set of devices. */
export interface DeviceSet {
  /** @throws EEXIST ENOMEM ENOSPC */
  readonly create: (name: string, config: VduseDevConfig, space: Uint8Array) => Promise<void>;
  /** @throws EINVAL for an unknown name, EBUSY while it is open or on the bus */
  readonly destroy: (name: string) => Promise<void>;
}

/** What an open file of the control node remembers. */
export interface ControlFile {
  api_version: bigint;
}

/** A name that ends in NUL, or fills its place but for the last byte. */
function nameOf(bytes: Uint8Array): string {
  const end = bytes.subarray(0, VDUSE_NAME_MAX - 1).indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? VDUSE_NAME_MAX - 1 : end));
}

/** `vduse_validate_config` @throws EINVAL naming what is wrong */
function validate(name: string, config: VduseDevConfig): void {
  const refuse = (rule: string, text: string): never => {
    throw new KernelError('EINVAL', rule, `${name}: ${text}`);
  };
  if (config.reserved.some((word) => word !== 0)) refuse('vduse.create.reserved', 'reserved words are not zero');
  if (config.vq_align > PAGE_SIZE) refuse('vduse.create.align', `queues aligned to ${config.vq_align} bytes, at most ${PAGE_SIZE}`);
  if (config.config_size > PAGE_SIZE) refuse('vduse.create.config-size', `${config.config_size} bytes of configuration, at most ${PAGE_SIZE}`);
  if (config.vq_num > VQS_MAX) refuse('vduse.create.vq-num', `${config.vq_num} queues, at most ${VQS_MAX}`);
  if (!ALLOWED_DEVICES.includes(config.device_id)) {
    refuse('vduse.create.device-id', `virtio id ${config.device_id}, and only ${ALLOWED_DEVICES.join(', ')} may be served by a process`);
  }
  const has = (bit: number): boolean => (config.features & (1n << BigInt(bit))) !== 0n;
  if (!has(VIRTIO_F_ACCESS_PLATFORM)) refuse('vduse.create.access-platform', 'ACCESS_PLATFORM is not offered');
  if (has(VIRTIO_BLK_F_CONFIG_WCE)) refuse('vduse.create.config-wce', 'CONFIG_WCE is offered, and drivers cannot write the configuration');
}

/** Handle one ioctl. @throws EINVAL for an unknown one */
export async function controlIoctl(devices: DeviceSet, control: ControlFile, cmd: number, arg: number, proc: Process): Promise<number> {
  switch (cmd) {
    case VDUSE_GET_API_VERSION:
      put_user(proc.mm, arg, 8, control.api_version);
      return 0;
    case VDUSE_SET_API_VERSION: {
      const version = get_user(proc.mm, arg, 8);
      if (version > BigInt(VDUSE_API_VERSION)) {
        throw new KernelError('EINVAL', 'vduse.api-version', `version ${version}, at most ${VDUSE_API_VERSION}`);
      }
      control.api_version = version;
      return 0;
    }
    case VDUSE_CREATE_DEV: {
      const config = vduse_dev_config.decode(proc.mm.read(arg, vduse_dev_config.size));
      const name = nameOf(config.name);
      validate(name, config);
      await devices.create(name, config, proc.mm.read(arg + vduse_dev_config.size, config.config_size));
      return 0;
    }
    case VDUSE_DESTROY_DEV:
      await devices.destroy(nameOf(proc.mm.read(arg, VDUSE_NAME_MAX)));
      return 0;
    default: throw new KernelError('EINVAL', 'vduse.control.ioctl', `/dev/vduse/control has no ioctl 0x${cmd.toString(16)}`);
  }
}

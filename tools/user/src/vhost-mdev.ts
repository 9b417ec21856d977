/** A device that vhost_mdev has given to VFIO: vhost ioctls on the device's file, memory by the container. */
import type { UserProcess } from '@vdpalab/lab';
import { MAP_SHARED, PROT_WRITE, virtio_net_config } from '@vdpalab/uapi';
import { dmaMapFlags } from './dma-map-flags.ts';
import { Scratch } from './scratch.ts';
import { VfioSession } from './vfio-session.ts';
import { VhostIoctls } from './vhost-ioctls.ts';
import type { UserVirtioDevice } from './virtio-device.ts';

const PAGE_SIZE = 4096;

/** An open device, alone in its container. */
export class VhostMdevDevice extends VhostIoctls implements UserVirtioDevice {
  /** The container, the group and the device. */
  readonly session: VfioSession;

  private constructor(p: UserProcess, session: VfioSession, scratch: Scratch) {
    super(p, session.devices[0]!.file.fd, scratch); // one name, one device
    this.session = session;
  }

  /** @param name on the vDPA bus, `vdpa0`, or on the bus mdev. @throws ENOENT for none of that name; EBUSY when its group is open */
  static async open(p: UserProcess, name: string): Promise<VhostMdevDevice> {
    const session = await VfioSession.open(p, [name]);
    return new VhostMdevDevice(p, session, await Scratch.create(p));
  }

  override async close(): Promise<void> {
    await this.scratch.free();
    await this.session.close();
  }

  async backendFeatures(): Promise<bigint> {
    return 0n;
  }

  async setBackendFeatures(): Promise<void> {}

  /** No ioctl says it: the driver knows what kind of device it drives. */
  async configSize(): Promise<number> {
    return virtio_net_config.size;
  }

  async map(iova: bigint, size: bigint, uaddr: bigint, perm: number): Promise<void> {
    await this.session.container.mapDma(uaddr, iova, size, dmaMapFlags(perm));
  }

  async unmap(iova: bigint, size: bigint): Promise<void> {
    await this.session.container.unmapDma(iova, size);
  }

  async batchBegin(): Promise<void> {}

  async batchEnd(): Promise<void> {}

  async mapDoorbell(index: number): Promise<number> {
    const { offset } = await this.session.devices[0]!.file.regionInfo(index);
    return await this.p.mmap(PAGE_SIZE, PROT_WRITE, MAP_SHARED, this.fd, Number(offset));
  }
}

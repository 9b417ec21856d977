/** What every open device file has: its descriptor, its process, and room for the arguments of ioctls. */
import type { UserProcess } from '@vdpalab/lab';
import type { Scratch } from './scratch.ts';

/** An open device file of a process; the classes on it have a method per ioctl. */
export class DeviceFile {
  readonly fd: number;
  protected readonly p: UserProcess;
  protected readonly scratch: Scratch;

  protected constructor(p: UserProcess, fd: number, scratch: Scratch) {
    this.p = p;
    this.fd = fd;
    this.scratch = scratch;
  }

  /** Close it, and free the room. */
  async close(): Promise<void> {
    await this.p.close(this.fd);
    await this.scratch.free();
  }
}

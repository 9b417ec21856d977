/** Memory of a process for ioctl arguments: a page that structs are laid into, as a C program's stack is. */
import type { UserProcess } from '@vdpalab/lab';
import type { MmStruct } from '@vdpalab/mm';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';

const SIZE = 8192;

/** What is needed of the process. */
export type ScratchProcess = Pick<UserProcess, 'ioctl' | 'mmap' | 'munmap'> & { readonly proc: { readonly mm: Pick<MmStruct, 'read' | 'write'> } };

/** One process's scratch memory. */
export class Scratch {
  readonly #p: ScratchProcess;
  readonly #at: number;

  private constructor(p: ScratchProcess, at: number) {
    this.#p = p;
    this.#at = at;
  }

  static async create(p: ScratchProcess): Promise<Scratch> {
    return new Scratch(p, await p.mmap(SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
  }

  /**
   * An ioctl whose argument is these bytes, in and out.
   *
   * @returns the bytes afterwards
   * @throws KernelError the ioctl's errno
   */
  async ioctl(fd: number, cmd: number, bytes: Uint8Array): Promise<Uint8Array> {
    return (await this.call(fd, cmd, bytes)).bytes;
  }

  /** As {@link ioctl}, with what the ioctl returned. */
  async call(fd: number, cmd: number, bytes: Uint8Array): Promise<{ readonly value: number; readonly bytes: Uint8Array }> {
    if (bytes.length > SIZE) throw new RangeError(`an ioctl argument of ${bytes.length} bytes`);
    this.#p.proc.mm.write(this.#at, bytes);
    const value = await this.#p.ioctl(fd, cmd, this.#at);
    return { value, bytes: this.#p.proc.mm.read(this.#at, bytes.length) };
  }

  async free(): Promise<void> {
    await this.#p.munmap(this.#at, SIZE);
  }
}

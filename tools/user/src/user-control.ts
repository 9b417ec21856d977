/**
 * The control queue of a network driver in a process, as a VMM has it: in an address space of its own where the device can, so that
 * the guest's memory stays as it is in the other. Mirrors `vhost_vdpa_net_cvq_start` and `vhost_vdpa_net_load` of QEMU's `net/vhost-vdpa.c`.
 */
import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, POLLIN, PROT_READ, PROT_WRITE, VHOST_ACCESS_RW, VHOST_BACKEND_F_IOTLB_ASID, VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_ERR, VIRTIO_NET_OK, virtio_net_ctrl_hdr,
} from '@vdpalab/uapi';
import { ringMemoryOf, setUpQueue, type UserQueue } from './user-queue.ts';
import type { UserVirtioDevice } from './virtio-device.ts';

/** Bytes of memory: a page, whose second half has the command and its answer. */
const SIZE = 4096;
const COMMAND = 2048;
/** Descriptors: one command at a time. */
const QUEUE_SIZE = 4;
/** Address space of a control queue that is isolated; the data queues have 0. */
const CONTROL_ASID = 1;

/** What a device is told when it starts: the state a guest had elsewhere. */
export interface NetState {
  readonly mac?: Uint8Array;
}

/** A control queue that is set up. */
export class UserControlQueue {
  /** 1 when it is isolated. */
  readonly asid: number;
  readonly #p: UserProcess;
  readonly #file: UserVirtioDevice;
  readonly #queue: UserQueue;
  readonly #u8: Uint8Array;
  readonly #va: number;
  readonly #iova: number;

  private constructor(p: UserProcess, file: UserVirtioDevice, asid: number, init: { queue: UserQueue; u8: Uint8Array; va: number; iova: number }) {
    this.#p = p;
    this.#file = file;
    this.asid = asid;
    this.#queue = init.queue;
    this.#u8 = init.u8;
    this.#va = init.va;
    this.#iova = init.iova;
  }

  /** Bytes of memory that it takes. */
  static readonly SIZE = SIZE;

  /**
   * Set it up; the device is not ready yet.
   *
   * @param index behind the data queues, which are all below it
   * @param iova where its memory lies when it has an address space of its own
   * @param sharedIova where it lies when it shares theirs
   * @throws KernelError the errno of the step that failed; nothing is left then
   */
  static async open(p: UserProcess, file: UserVirtioDevice, index: number, iova: number, sharedIova = iova): Promise<UserControlQueue> {
    const group = await isolatedGroup(file, index);
    const asid = group === null ? 0 : CONTROL_ASID;
    if (group !== null) await file.setGroupAsid?.(group, asid);
    const at = group === null ? sharedIova : iova;
    const va = await p.mmap(SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    try {
      const u8 = p.proc.mm.view(va, SIZE);
      if (u8 === null) throw new Error(`${SIZE} bytes of memory are not in one piece`);
      await file.map(BigInt(at), BigInt(SIZE), BigInt(va), VHOST_ACCESS_RW, asid);
      const queue = await setUpQueue(p, file, ringMemoryOf(u8), { index, num: QUEUE_SIZE, offset: 0, iova: at, eventIdx: false, mapped: false });
      await file.setVringEnable(index, true);
      return new UserControlQueue(p, file, asid, { queue, u8, va, iova: at });
    } catch (error) {
      await p.munmap(va, SIZE);
      throw error;
    }
  }

  /** One command to a device that is ready. @param timeoutNs of virtual time @returns what it answered; `null` when it did not */
  async send(kind: number, cmd: number, data: Uint8Array, timeoutNs = 1e9): Promise<number | null> {
    const { ring, kick, call } = this.#queue;
    const header = virtio_net_ctrl_hdr.encode({ class: kind, cmd });
    const length = header.length + data.length;
    this.#u8.set(header, COMMAND);
    this.#u8.set(data, COMMAND + header.length);
    this.#u8[COMMAND + length] = VIRTIO_NET_ERR;
    if (ring.add(Uint32Array.from([...this.#segment(COMMAND, length), ...this.#segment(COMMAND + length, 1)]), 0, 1, 1, 0) !== 0) {
      throw new Error('the control ring refuses a command');
    }
    if (ring.kickPrepare()) await this.#p.eventfdWrite(kick);
    while (ring.get() < 0) {
      const [ready] = await this.#p.poll([{ fd: call, events: POLLIN }], timeoutNs);
      if (((ready ?? 0) & POLLIN) === 0) return null;
      await this.#p.read(call, 8);
    }
    return this.#u8[COMMAND + length] ?? null;
  }

  /** Bring a state to a device that is ready. @throws Error when it refuses a part */
  async load({ mac }: NetState): Promise<void> {
    if (mac === undefined) return;
    const answer = await this.send(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac);
    if (answer !== VIRTIO_NET_OK) throw new Error(`the device answers ${answer} to its address`);
  }

  /** Give everything back; the device is stopped. */
  async close(): Promise<void> {
    await this.#p.close(this.#queue.kick);
    await this.#p.close(this.#queue.call);
    await this.#file.unmap(BigInt(this.#iova), BigInt(SIZE), this.asid);
    await this.#p.munmap(this.#va, SIZE);
  }

  /** Address and length, as rings take them. */
  #segment(at: number, length: number): readonly [number, number, number] {
    const address = BigInt(this.#iova) + BigInt(at);
    return [Number(address & 0xffff_ffffn), Number(address >> 32n), length];
  }
}

/** The control queue's group, where the device tells address spaces apart and no data queue is in it; `null` otherwise. */
async function isolatedGroup(file: UserVirtioDevice, index: number): Promise<number | null> {
  if (file.vringGroup === undefined || ((await file.backendFeatures()) & (1n << BigInt(VHOST_BACKEND_F_IOTLB_ASID))) === 0n) return null;
  try {
    const group = await file.vringGroup(index);
    for (let data = 0; data < index; data++) if ((await file.vringGroup(data)) === group) return null;
    return group;
  } catch (error) {
    if (!isKernelError(error) || error.errno !== 'EOPNOTSUPP') throw error;
    return null;
  }
}

/** One queue of a driver in a process: its ring in memory that the device reaches, and its eventfds. */
import type { UserProcess } from '@vdpalab/lab';
import { SplitDriver, splitRingIn, type RingMemory } from '@vdpalab/vring';
import type { UserVirtioDevice } from './virtio-device.ts';

/** A queue that is set up. */
export interface UserQueue {
  readonly ring: SplitDriver;
  /** Eventfd that rings the doorbell. */
  readonly kick: number;
  /** Eventfd that is signalled when buffers come back. */
  readonly call: number;
  /** Address of the mapped doorbell; null when the eventfd is used. */
  readonly doorbell: number | null;
}

/** Where a queue lies and how it is driven. */
export interface UserQueueInit {
  readonly index: number;
  /** Descriptors. */
  readonly num: number;
  /** Bytes from the start of the memory. */
  readonly offset: number;
  /** Where the device sees the start of the memory. */
  readonly iova: number;
  readonly eventIdx: boolean;
  /** Map the doorbell. */
  readonly mapped: boolean;
}

/** Tell a device of a queue; whoever made it enables it. @throws KernelError the errno of the ioctl that failed */
export async function setUpQueue(p: UserProcess, file: UserVirtioDevice, memory: RingMemory, q: UserQueueInit): Promise<UserQueue> {
  const areas = splitRingIn(memory, q.offset, q.num);
  const ring = new SplitDriver(areas, { eventIdx: q.eventIdx });
  const iova = (offset: number): bigint => BigInt(q.iova + offset);
  const kick = p.eventfd();
  const call = p.eventfd();
  await file.setVringNum(q.index, q.num);
  await file.setVringBase(q.index, 0);
  await file.setVringAddr(q.index, iova(areas.desc.offset), iova(areas.avail.offset), iova(areas.used.offset));
  await file.setVringKick(q.index, kick);
  await file.setVringCall(q.index, call);
  return { ring, kick, call, doorbell: q.mapped ? await file.mapDoorbell(q.index) : null };
}

/** Memory of a process for rings, over a view that is in one piece. */
export function ringMemoryOf(u8: Uint8Array): RingMemory {
  const { buffer, byteOffset, length } = u8;
  return {
    memory: null, buffer, byteOffset, u8,
    u16: new Uint16Array(buffer, byteOffset, length >>> 1), u32: new Uint32Array(buffer, byteOffset, length >>> 2),
    remote: null,
  };
}

/** A virtio device as a driver in a process needs it, whatever gives it its registers and its memory. */

/** One method per step of a driver. Rejections are KernelErrors. */
export interface UserVirtioDevice {
  readonly setOwner: () => Promise<unknown>;
  readonly backendFeatures: () => Promise<bigint>;
  readonly setBackendFeatures: (features: bigint) => Promise<void>;
  readonly status: () => Promise<number>;
  readonly setStatus: (status: number) => Promise<void>;
  readonly features: () => Promise<bigint>;
  readonly setFeatures: (features: bigint) => Promise<void>;
  readonly configSize: () => Promise<number>;
  readonly config: (off: number, len: number) => Promise<Uint8Array>;
  /** Largest queue, in descriptors. */
  readonly vringNum: () => Promise<number>;
  readonly setVringNum: (index: number, num: number) => Promise<void>;
  readonly setVringBase: (index: number, num: number) => Promise<void>;
  /** Addresses as the device sees them. */
  readonly setVringAddr: (index: number, desc: bigint, avail: bigint, used: bigint) => Promise<void>;
  /** Eventfd that rings the doorbell. */
  readonly setVringKick: (index: number, fd: number) => Promise<void>;
  /** Eventfd that is signalled when buffers come back. */
  readonly setVringCall: (index: number, fd: number) => Promise<void>;
  readonly setVringEnable: (index: number, on: boolean) => Promise<void>;
  /** Which queues share an address space; absent where all do. @throws EOPNOTSUPP where the parent has one group */
  readonly vringGroup?: (index: number) => Promise<number>;
  /** Give a group of queues an address space. */
  readonly setGroupAsid?: (group: number, asid: number) => Promise<void>;
  /** Let the device reach memory of the process. @param perm VHOST_ACCESS_* @param asid 0 when absent */
  readonly map: (iova: bigint, size: bigint, uaddr: bigint, perm: number, asid?: number) => Promise<unknown>;
  readonly unmap: (iova: bigint, size: bigint, asid?: number) => Promise<unknown>;
  readonly batchBegin: () => Promise<unknown>;
  readonly batchEnd: () => Promise<unknown>;
  /** The doorbell page of a queue: a 16-bit store of the queue index rings it. @returns its address */
  readonly mapDoorbell: (index: number) => Promise<number>;
  readonly close: () => Promise<void>;
}

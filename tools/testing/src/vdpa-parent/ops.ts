/** The ops table of a fake vDPA device: every op of `vdpa_config_ops`, each call recorded. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Machine } from '@vdpalab/abi';
import { VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, VDPA_ATTR_PAD, VDPA_RESET_F_CLEAN_MAP, VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK, VIRTIO_F_ACCESS_PLATFORM } from '@vdpalab/uapi';
import type { FakeCallback, FakeDevice, FakeMap, FakeVqState } from './device.ts';

/** What the ops need of the kernel. */
export interface FakeOpsKernel {
  readonly machine: Machine;
  readonly vhost_iotlb_itree_first: (iotlb: never, start: bigint, last: bigint) => FakeEntry | null;
  readonly vhost_iotlb_itree_next: (iotlb: never, map: never, start: bigint, last: bigint) => FakeEntry | null;
}

interface FakeEntry {
  readonly start: bigint;
  readonly size: bigint;
  readonly addr: bigint;
  readonly perm: number;
}

/** What was asked of all devices of one parent, and when it is to fail. */
export class FakeCalls {
  /** Each call: the op, then its numbers. */
  readonly log: string[] = [];
  /** Calls so far of ops that may fail. */
  fallible = 0;
  /** The op that was made to fail. */
  failed: string | null = null;

  /** Names of the ops called since the last look. */
  take(): string[] {
    return this.log.splice(0);
  }
}

/** Ops the simulator of Linux 6.1 lacks: in the table only when asked for. */
const EXTRA = new Set([
  'resume', 'reset_map', 'get_vq_irq', 'get_vq_notification', 'get_vq_size', 'get_vq_desc_group', 'get_vendor_vq_stats', 'bind_mm',
  'unbind_mm', 'kick_vq_with_data', 'compat_reset', 'get_backend_features',
]);

const U64_MAX = (1n << 64n) - 1n;

/** Type of {@link fakeOps}' table: fits `VdpaConfigOps`, which is declared above this package. */
export type FakeOps = ReturnType<typeof fakeOps>;

/** Make the table. @param device found by the vDPA device it is called with */
export function fakeOps(k: FakeOpsKernel, dev: FakeDevice, calls: FakeCalls) {
  const { setup } = dev;

  /** Count the call, and fail when it is this one's turn. */
  function mayFail(op: string): void {
    if (setup.infallible.includes(op)) return;
    calls.fallible++;
    if (setup.fails === undefined || calls.fallible !== setup.fails.at) return;
    calls.failed = op;
    throw new KernelError(setup.fails.errno, 'fake.parent.fails', `call ${calls.fallible} of the fake parent, ${op}, fails`);
  }

  const note = (op: string, ...args: readonly (number | bigint | boolean)[]): void => void calls.log.push([op, ...args].join(' '));

  async function sleeping<T>(op: string, args: readonly (number | bigint | boolean)[], body: () => T): Promise<T> {
    note(op, ...args);
    if (setup.parks) await k.machine.sched.yield();
    mayFail(op);
    return body();
  }

  /** The entries of a table. */
  function rangeOf(iotlb: unknown, asid: number): FakeMap[] {
    const maps: FakeMap[] = [];
    const table = iotlb as never; // of vhost_iotlb, which this package does not know
    for (let e = k.vhost_iotlb_itree_first(table, 0n, U64_MAX); e !== null; e = k.vhost_iotlb_itree_next(table, e as never, 0n, U64_MAX)) {
      maps.push({ asid, start: e.start, size: e.size, addr: e.addr, perm: e.perm });
    }
    return maps;
  }

  const all = {
    set_vq_address(_: unknown, idx: number, desc: bigint, driver: bigint, device: bigint): Atomic {
      note('set_vq_address', idx, desc, driver, device);
      mayFail('set_vq_address');
      Object.assign(dev.queue(idx), { desc, driver, device });
    },
    set_vq_num(_: unknown, idx: number, num: number): Atomic {
      note('set_vq_num', idx, num);
      dev.queue(idx).num = num;
    },
    kick_vq(_: unknown, idx: number): Atomic {
      note('kick_vq', idx);
      dev.queue(idx).kicks++;
    },
    kick_vq_with_data(_: unknown, data: number): Atomic {
      note('kick_vq_with_data', data);
    },
    set_vq_cb(_: unknown, idx: number, cb: FakeCallback | null): Atomic {
      note('set_vq_cb', idx, cb !== null);
      dev.queue(idx).cb = cb;
    },
    set_vq_ready: (_: unknown, idx: number, ready: boolean): Promise<void> =>
      sleeping('set_vq_ready', [idx, ready], () => void (dev.queue(idx).ready = ready)),
    get_vq_ready: (_: unknown, idx: number): boolean => dev.queue(idx).ready,
    set_vq_state: (_: unknown, idx: number, state: FakeVqState): Promise<void> =>
      sleeping('set_vq_state', [idx], () => void (dev.queue(idx).state = state)),
    get_vq_state: (_: unknown, idx: number): Promise<FakeVqState> => sleeping('get_vq_state', [idx], () => dev.queue(idx).state),
    get_vendor_vq_stats: (_: unknown, idx: number, msg: { readonly putU64: (type: number, value: bigint, pad: number) => Atomic }): Promise<void> =>
      sleeping('get_vendor_vq_stats', [idx], () => {
        if (idx >= setup.nvqs) throw new KernelError('EINVAL', 'fake.stats.index', `queue ${idx} of ${setup.nvqs}`);
        msg.putU64(VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, BigInt(dev.queue(idx).kicks), VDPA_ATTR_PAD);
      }),
    get_vq_notification: (_: unknown, idx: number) => ({ addr: FAKE_DOORBELLS + 0x1000 * idx, size: 0x1000 }),
    get_vq_irq(_: unknown, idx: number): number {
      note('get_vq_irq', idx);
      mayFail('get_vq_irq');
      return FAKE_IRQ + idx;
    },
    get_backend_features: (): bigint => 1n << BigInt(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK),
    get_vq_size: (): number => setup.num_max >> 1,
    get_vq_align: (): number => 4096,
    get_vq_group: (_: unknown, idx: number): number => (idx === setup.nvqs - 1 && setup.ngroups > 1 ? 1 : 0),
    get_vq_desc_group: (): number => setup.ngroups, // out of range on purpose: EIO
    get_device_features: (): bigint => setup.features,
    set_driver_features: (_: unknown, features: bigint): Promise<void> => sleeping('set_driver_features', [features], () => {
      const platform = 1n << BigInt(VIRTIO_F_ACCESS_PLATFORM);
      if ((setup.features & platform) !== 0n && (features & platform) === 0n) {
        throw new KernelError('EINVAL', 'fake.features.platform', `features 0x${features.toString(16)} lack ACCESS_PLATFORM`);
      }
      dev.driver_features = features & setup.features;
    }),
    get_driver_features: (): bigint => dev.driver_features,
    set_config_cb(_: unknown, cb: FakeCallback | null): Atomic {
      note('set_config_cb', cb !== null);
      dev.config_cb = cb;
    },
    get_vq_num_max: (): number => setup.num_max,
    get_vq_num_min: (): number => setup.num_min,
    get_device_id: (): number => setup.device_id,
    get_vendor_id: (): number => 0,
    get_status: (): number => dev.status,
    set_status: (_: unknown, status: number): Promise<void> => sleeping('set_status', [status], () => void (dev.status = status)),
    reset: (): Promise<void> => sleeping('reset', [], () => dev.reset(setup.having.includes('compat_reset'))),
    compat_reset: (_: unknown, flags: number): Promise<void> =>
      sleeping('compat_reset', [flags], () => dev.reset((flags & VDPA_RESET_F_CLEAN_MAP) === 0)),
    suspend: (): Promise<void> => sleeping('suspend', [], () => void (dev.suspended = true)),
    resume: (): Promise<void> => sleeping('resume', [], () => void (dev.suspended = false)),
    get_config_size: (): number => dev.config.length,
    get_config: (_: unknown, offset: number, len: number): Uint8Array => dev.config.slice(offset, offset + len),
    set_config: (_: unknown, offset: number, bytes: Uint8Array): Promise<void> =>
      sleeping('set_config', [offset, bytes.length], () => dev.config.set(bytes, offset)),
    get_generation: (): number => 0,
    get_iova_range: () => ({ first: 0n, last: U64_MAX }),
    set_map: (_: unknown, asid: number, iotlb: unknown): Promise<void> => sleeping('set_map', [asid], () => {
      dev.maps = [...dev.maps.filter((map) => map.asid !== asid), ...rangeOf(iotlb, asid)];
    }),
    dma_map: (_: unknown, asid: number, iova: bigint, size: bigint, pa: bigint, perm: number): Promise<void> =>
      sleeping('dma_map', [asid, iova, size], () => void dev.maps.push({ asid, start: iova, size, addr: pa, perm })),
    dma_unmap: (_: unknown, asid: number, iova: bigint, size: bigint): Promise<void> => sleeping('dma_unmap', [asid, iova, size], () => {
      dev.maps = dev.maps.filter((map) => map.asid !== asid || map.start >= iova + size || map.start + map.size <= iova);
    }),
    reset_map: (_: unknown, asid: number): Promise<void> =>
      sleeping('reset_map', [asid], () => void (dev.maps = dev.maps.filter((map) => map.asid !== asid))),
    set_group_asid: (_: unknown, group: number, asid: number): Promise<void> =>
      sleeping('set_group_asid', [group, asid], () => void dev.group_asid.set(group, asid)),
    bind_mm: (_: unknown, mm: unknown): Promise<void> => sleeping('bind_mm', [], () => void (dev.mm = mm)),
    unbind_mm: (): Promise<void> => sleeping('unbind_mm', [], () => void (dev.mm = null)),
    free(): Atomic {
      note('free');
      dev.freed = true;
    },
  };

  const mapping = { set_map: ['dma_map', 'dma_unmap'], dma_map: ['set_map'], platform: ['set_map', 'dma_map', 'dma_unmap', 'get_iova_range'] };
  const absent = new Set<string>([...EXTRA, ...mapping[setup.mapping], ...setup.lacking].filter((op) => !setup.having.includes(op)));
  return Object.fromEntries(Object.entries(all).filter(([op]) => !absent.has(op))) as typeof all; // optional ones may be missing: the declared type says so
}

/** Where the fake doorbells lie: physical address of that of queue 0. */
export const FAKE_DOORBELLS = 0xe000_0000;
/** Interrupt of queue 0. */
export const FAKE_IRQ = 40;

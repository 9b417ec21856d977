/** The state of a fake vDPA device, and what was asked of it. */
import type { Atomic } from '@vdpalab/abi';
import type { FakeParentSetup } from './options.ts';

/** `struct vdpa_callback`, as far as a device calls it. */
export interface FakeCallback {
  readonly callback: () => Atomic;
}

/** `struct vdpa_vq_state`, as the `vdpa-core` header declares it. */
export type FakeVqState =
  | { readonly kind: 'split'; readonly avail_index: number }
  | {
      readonly kind: 'packed';
      readonly last_avail_counter: 0 | 1;
      readonly last_avail_idx: number;
      readonly last_used_counter: 0 | 1;
      readonly last_used_idx: number;
    };

const START: FakeVqState = { kind: 'split', avail_index: 0 };

/** One queue as the ops left it. */
export interface FakeQueue {
  num: number;
  desc: bigint;
  driver: bigint;
  device: bigint;
  ready: boolean;
  state: FakeVqState;
  /** Doorbells since reset. */
  kicks: number;
  cb: FakeCallback | null;
}

/** A mapping the parent was told of. */
export interface FakeMap {
  readonly asid: number;
  readonly start: bigint;
  readonly size: bigint;
  readonly addr: bigint;
  readonly perm: number;
}

/** One vDPA device of a {@link fakeParent}. */
export class FakeDevice {
  readonly setup: FakeParentSetup;
  readonly queues: FakeQueue[];
  readonly config: Uint8Array;
  status = 0;
  driver_features = 0n;
  suspended = false;
  config_cb: FakeCallback | null = null;
  /** Address space of each group. */
  readonly group_asid = new Map<number, number>();
  /** Mappings it knows now. */
  maps: FakeMap[] = [];
  /** Whose memory it is bound to, for parents that use user addresses. */
  mm: unknown = null;
  /** Told by `free`. */
  freed = false;

  constructor(setup: FakeParentSetup) {
    this.setup = setup;
    this.config = setup.config.slice();
    this.queues = Array.from({ length: setup.nvqs }, (): FakeQueue =>
      ({ num: 0, desc: 0n, driver: 0n, device: 0n, ready: false, state: START, kicks: 0, cb: null }));
  }

  queue(idx: number): FakeQueue {
    const queue = this.queues[idx];
    if (queue === undefined) throw new Error(`fake device: queue ${idx} of ${this.queues.length}`);
    return queue;
  }

  /** A queue has used buffers: its interrupt. */
  raise(idx: number): Atomic {
    return this.queue(idx).cb?.callback();
  }

  /** The configuration has changed: its interrupt. */
  raiseConfig(): Atomic {
    return this.config_cb?.callback();
  }

  /** Back to power-on. Mappings go too unless they are kept, as in the simulator of Linux 6.1; doorbells seen stay counted. */
  reset(keepMaps = false): void {
    this.status = 0;
    this.driver_features = 0n;
    this.suspended = false;
    this.config_cb = null;
    if (!keepMaps) this.maps = [];
    this.group_asid.clear();
    for (const queue of this.queues) Object.assign(queue, { num: 0, desc: 0n, driver: 0n, device: 0n, ready: false, state: START, cb: null });
  }
}

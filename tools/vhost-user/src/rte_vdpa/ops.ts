/**
 * What a vDPA driver of user space answers to the vhost library.
 *
 * @see DPDK lib/vhost/vdpa_driver.h `struct rte_vdpa_dev_ops`
 */

/** What kind of device it is. */
export type VdpaDeviceType = 'net' | 'blk';

/** `struct rte_vdpa_dev_ops`: a `vid` names a front-end's device in the library. All run in tasks of the serving process. */
export interface RteVdpaDevOps {
  /** Queue pairs of a network device, queues of a disk. */
  readonly get_queue_num: () => number;
  /** Features the front-end may negotiate. */
  readonly get_features: () => bigint;
  /** Protocol features that make sense with this device. */
  readonly get_protocol_features: () => bigint;
  /** All queues are ready, features are negotiated: start. */
  readonly dev_conf: (vid: number) => Promise<void>;
  /** Stop, and give the library the ring indexes. */
  readonly dev_close: (vid: number) => Promise<void>;
  /** The connection goes away: forget what was kept of it. (optional) */
  readonly dev_cleanup?: (vid: number) => Promise<void>;
  /** Switch one queue on or off, also while running. */
  readonly set_vring_state: (vid: number, vring: number, state: boolean) => Promise<void>;
  /** Features have changed; while running, only whether pages are logged. */
  readonly set_features: (vid: number) => Promise<void>;
  /** Migration is over, on its destination. (optional) */
  readonly migration_done?: (vid: number) => Promise<void>;
  /** (optional) */
  readonly get_vfio_group_fd?: (vid: number) => number;
  /** (optional) */
  readonly get_vfio_device_fd?: (vid: number) => number;
  /** Where a queue's doorbell lies in the device's file, in bytes. (optional) */
  readonly get_notify_area?: (vid: number, qid: number) => { readonly offset: number; readonly size: number };
  /** Names of what is counted for each queue. (optional) */
  readonly get_stats_names?: () => readonly string[];
  /** Counters of a queue, in the order of their names. (required with `get_stats_names`) */
  readonly get_stats?: (qid: number) => readonly bigint[];
  /** (required with `get_stats_names`) */
  readonly reset_stats?: (qid: number) => Promise<void>;
  /** Bytes of the configuration space. (optional) */
  readonly get_config?: (vid: number, offset: number, length: number) => Promise<Uint8Array>;
  /** (optional) */
  readonly set_config?: (vid: number, offset: number, bytes: Uint8Array) => Promise<void>;
  /** A network device when absent. */
  readonly get_dev_type?: () => VdpaDeviceType;
}

/** Ops without which there is no device. */
export const MANDATORY_OPS = [
  'get_queue_num', 'get_features', 'get_protocol_features', 'dev_conf', 'dev_close', 'set_vring_state', 'set_features',
] as const satisfies readonly (keyof RteVdpaDevOps)[];

/** One vhost-user socket: where front-ends connect, and what device they get. @see DPDK lib/vhost/socket.c */
import type { RteVdpaDevice } from '../rte_vdpa/registry.ts';

/** A registered path. */
export interface Driver {
  readonly path: string;
  /** The device behind it. */
  vdpa: RteVdpaDevice | null;
  /** Limits what the device offers; all ones when nothing was limited. */
  features: bigint;
  protocolFeatures: bigint;
}

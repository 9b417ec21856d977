/** What request handlers work with. */
import type { MemorySite } from '../memory/host-file.ts';
import type { RteVdpaDevice } from '../rte_vdpa/registry.ts';
import { refuse } from '../refuse.ts';
import type { VhostDevice } from './device.ts';

/** An answer. */
export interface Reply {
  readonly payload: Uint8Array;
  readonly fds?: readonly number[];
}

/** One message being handled. */
export interface Session {
  readonly dev: VhostDevice;
  readonly vdpa: RteVdpaDevice;
  readonly site: MemorySite;
  readonly payload: Uint8Array;
  /** Descriptors that came; taken ones are the taker's, the rest is closed afterwards. */
  readonly fds: number[];
  /** What the socket offers. */
  readonly offered: { readonly features: bigint; readonly protocolFeatures: bigint };
  /** Stop the device when it runs: dev_close. */
  readonly stop: () => Promise<void>;
  /** Forget everything that was negotiated. */
  readonly reset: () => Promise<void>;
  /** End the connection from outside a message, for instance because an eventfd broke. */
  readonly fail: (error: Error) => void;
  /** Say something in the log. */
  readonly log: (text: string) => void;
}

/** Handles one request. A handler that throws has changed nothing. */
export type Handler = (s: Session) => Promise<Reply | undefined>;

/** The descriptor a message must have. @throws EINVAL without */
export function takeFd(s: Session, what: string): number {
  const fd = s.fds.shift();
  if (fd === undefined) throw refuse('request.fd', `${what} without a descriptor`);
  return fd;
}

/** Dumps: many messages, then NLMSG_DONE. Mirrors `netlink_dump` in `net/netlink/af_netlink.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { KernelError } from '@vdpalab/abi';
import { ERRNO, NLMSG_DONE, NLM_F_ACK_TLVS, NLM_F_MULTI } from '@vdpalab/uapi';
import { extackTlvs } from './ack.ts';
import { concat, newMessage } from './message.ts';
import type { NetlinkTable, Request } from './table.ts';

/** Bytes of messages that are received together: NLMSG_GOODSIZE. */
const DUMP_SIZE = 3776;

/** Adds one message to a dump. */
export type Emit = (type: number, payload: Uint8Array, flags?: number) => undefined;

/**
 * Answer a request with a dump. Nothing of it is lost, however full the receiver's queue is: Linux waits for the
 * receiver there.
 *
 * @param fill its refusal ends the dump and stands in NLMSG_DONE
 */
export async function dump(table: NetlinkTable, { socket, msg }: Request, fill: (emit: Emit) => Promise<void>): Promise<void> {
  const answer = (type: number, flags: number, payload: Uint8Array): Uint8Array =>
    newMessage({ nlmsg_type: type, nlmsg_flags: flags, nlmsg_seq: msg.hdr.nlmsg_seq, nlmsg_pid: socket.portid }, payload);
  const batch: Uint8Array[] = [];
  let size = 0;
  const flush = (): void => {
    if (batch.length > 0) table.deliver(socket, { bytes: concat(batch.splice(0)), portid: 0, group: 0 }, true);
    size = 0;
  };
  let error: KernelError | null = null;
  try {
    await fill((type, payload, flags = 0): undefined => {
      const message = answer(type, flags | NLM_F_MULTI, payload);
      if (size + message.length > DUMP_SIZE) flush();
      batch.push(message);
      size += message.length;
    });
  } catch (thrown) {
    if (!isKernelError(thrown)) throw thrown;
    error = thrown;
    table.noteRefusal(thrown);
  }
  flush();
  const status = new Uint8Array(4);
  new DataView(status.buffer).setInt32(0, error === null ? 0 : -ERRNO[error.errno], true);
  const tlvs = error?.extack === undefined || !socket.extAck ? new Uint8Array(0) : extackTlvs(null, error);
  const flags = NLM_F_MULTI | (tlvs.length > 0 ? NLM_F_ACK_TLVS : 0);
  table.deliver(socket, { bytes: answer(NLMSG_DONE, flags, concat([status, tlvs])), portid: 0, group: 0 }, true);
}

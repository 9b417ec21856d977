/** Acknowledgements and errors. Mirrors `netlink_ack` in `net/netlink/af_netlink.c` (Linux 6.1). Not modelled: NLMSGERR_ATTR_POLICY. */
import type { KernelError } from '@vdpalab/abi';
import {
  ERRNO, NLA_HDRLEN, NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS, NLMSG_ALIGN, NLMSG_ERROR, NLM_F_ACK_TLVS, NLM_F_CAPPED, NlaBuilder, nlmsgerr,
} from '@vdpalab/uapi';
import { concat, newMessage } from './message.ts';
import type { Message } from './message.ts';
import { AttributeError } from './policy.ts';
import type { NetlinkSocket } from './socket.ts';

/** The reply to a request: `null` acknowledges it. */
export function ackMessage(socket: NetlinkSocket, request: Message, error: KernelError | null): Uint8Array<ArrayBuffer> {
  const capped = error === null || socket.capAck;
  const tlvs = error === null || !socket.extAck ? new Uint8Array(0) : extackTlvs(request, error);
  const head = nlmsgerr.encode({ error: error === null ? 0 : -ERRNO[error.errno], msg: request.hdr });
  const echoed = new Uint8Array(capped ? 0 : NLMSG_ALIGN(request.payload.length));
  if (!capped) echoed.set(request.payload);
  return newMessage({
    nlmsg_type: NLMSG_ERROR,
    nlmsg_flags: (capped ? NLM_F_CAPPED : 0) | (tlvs.length > 0 ? NLM_F_ACK_TLVS : 0),
    nlmsg_seq: request.hdr.nlmsg_seq,
    nlmsg_pid: socket.portid,
  }, concat([head, echoed, tlvs]));
}

/** What went wrong and where, as attributes: the text, and the offset of the attribute from the message's start. */
export function extackTlvs(request: Message | null, error: KernelError): Uint8Array<ArrayBuffer> {
  const builder = new NlaBuilder();
  if (error.extack !== undefined) builder.putString(NLMSGERR_ATTR_MSG, error.extack);
  const offset = request === null ? null : badAttribute(request, error);
  if (offset !== null) builder.putU32(NLMSGERR_ATTR_OFFS, offset);
  return builder.bytes();
}

function badAttribute(request: Message, error: KernelError): number | null {
  if (!(error instanceof AttributeError) || error.payload.buffer !== request.bytes.buffer) return null;
  const offset = error.payload.byteOffset - NLA_HDRLEN - request.bytes.byteOffset;
  return offset >= 0 && offset < request.bytes.length ? offset : null;
}

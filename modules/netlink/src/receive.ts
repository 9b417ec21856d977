/** What the kernel does with what a user sent. Mirrors `netlink_rcv_skb` in `net/netlink/af_netlink.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { NLMSG_ALIGN, NLMSG_MIN_TYPE, NLM_F_ACK, NLM_F_REQUEST } from '@vdpalab/uapi';
import { ackMessage } from './ack.ts';
import { messageAt } from './message.ts';
import type { NetlinkSocket } from './socket.ts';
import type { NetlinkTable, Outcome, Request } from './table.ts';

/**
 * Handle every message of what was sent, in order. One that is cut short ends it, silently.
 *
 * @param bytes the kernel's own copy
 */
export async function receive(table: NetlinkTable, socket: NetlinkSocket, proc: Process, bytes: Uint8Array): Promise<void> {
  const input = table.input(socket.protocol);
  for (let at = 0; ;) {
    const msg = messageAt(bytes, at);
    if (msg === null) return;
    const { hdr } = msg;
    let error: KernelError | null = null;
    let outcome: Outcome = 'done';
    // Only requests are handled, and control messages are skipped; both are acknowledged when asked for.
    if ((hdr.nlmsg_flags & NLM_F_REQUEST) !== 0 && hdr.nlmsg_type >= NLMSG_MIN_TYPE) {
      [outcome, error] = await handle(input, { socket, proc, msg });
      if (error !== null) table.noteRefusal(error);
    }
    if (error !== null || (outcome === 'done' && (hdr.nlmsg_flags & NLM_F_ACK) !== 0)) {
      table.deliver(socket, { bytes: ackMessage(socket, msg, error), portid: 0, group: 0 });
    }
    at += NLMSG_ALIGN(hdr.nlmsg_len);
  }
}

async function handle(input: (request: Request) => Promise<Outcome>, request: Request): Promise<[Outcome, KernelError | null]> {
  try {
    return [await input(request), null];
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return ['done', error];
  }
}

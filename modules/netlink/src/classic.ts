/** Protocols that modules serve without generic netlink, such as NETLINK_ROUTE. */
import { NLM_F_DUMP } from '@vdpalab/uapi';
import { dump } from './dump.ts';
import type { NetlinkKernelSock } from './header.ts';
import { newMessage } from './message.ts';
import type { KernelSide, NetlinkTable } from './table.ts';

/** The kernel's side of such a protocol. */
export function classicInput(table: NetlinkTable, sock: NetlinkKernelSock): KernelSide {
  return async (request) => {
    const { socket, proc, msg } = request;
    const { nlmsg_type, nlmsg_flags, nlmsg_seq } = msg.hdr;
    if ((nlmsg_flags & NLM_F_DUMP) === NLM_F_DUMP) {
      await dump(table, request, (emit) => sock.input(nlmsg_type, nlmsg_flags, msg.payload, proc, { message: emit }));
      return 'dumped';
    }
    await sock.input(nlmsg_type, nlmsg_flags, msg.payload, proc, {
      message: (type, payload, flags = 0) => table.deliver(socket, {
        bytes: newMessage({ nlmsg_type: type, nlmsg_flags: flags, nlmsg_seq, nlmsg_pid: socket.portid }, payload), portid: 0, group: 0,
      }),
    });
    return 'done';
  };
}

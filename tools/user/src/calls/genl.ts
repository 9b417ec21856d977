/** Generic netlink for a script of system calls: any request, and every byte that comes back. */
import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  AF_NETLINK, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, GENL_HDRLEN, GENL_ID_CTRL, MSG_DONTWAIT, NETLINK_CAP_ACK, NETLINK_EXT_ACK,
  NETLINK_GENERIC, NETLINK_GET_STRICT_CHK, NLA_ALIGN, NLA_HDRLEN, NLMSG_ALIGN, NLMSG_DONE, NLMSG_ERROR, NLMSG_HDRLEN, NLM_F_ACK_TLVS, NLM_F_CAPPED,
  NLM_F_REQUEST, SOCK_RAW, SOL_NETLINK, errnoName, genlmsghdr, nlattr, nlmsghdr,
} from '@vdpalab/uapi';
import { hex, joined, number } from './fields.ts';

const RECEIVE = 65536;
const ERRNO_SIZE = 4;

/** Say what a text of attributes holds: strings as such, the rest byte by byte. @param controller whether family numbers are left out */
function attributes(bytes: Uint8Array, controller: boolean): string[] {
  const lines: string[] = [];
  for (let at = 0; at + NLA_HDRLEN <= bytes.length;) {
    const { nla_len, nla_type } = nlattr.decode(bytes, at);
    if (nla_len < NLA_HDRLEN || at + nla_len > bytes.length) return [...lines, `  ragged ${hex(bytes.subarray(at))}`];
    const payload = bytes.subarray(at + NLA_HDRLEN, at + nla_len);
    const isText = payload.length > 1 && payload.at(-1) === 0 && payload.subarray(0, -1).every((byte) => byte >= 0x20 && byte < 0x7f);
    const text = isText ? `"${new TextDecoder().decode(payload.subarray(0, -1))}"` : hex(payload).replaceAll(/.{8}(?=.)/g, '$& ');
    lines.push(`    ${nla_type}: ${controller && nla_type === CTRL_ATTR_FAMILY_ID ? "the family's number" : text}`);
    at += NLA_ALIGN(nla_len);
  }
  return lines;
}

interface Answer {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** All that comes back, up to the end of it. */
async function answers(p: UserProcess, fd: number): Promise<Answer[]> {
  const all: Answer[] = [];
  try {
    for (;;) {
      const { bytes } = await p.recvmsg(fd, RECEIVE, MSG_DONTWAIT);
      for (let at = 0; at + NLMSG_HDRLEN <= bytes.length;) {
        const head = nlmsghdr.decode(bytes, at);
        all.push({ type: head.nlmsg_type, flags: head.nlmsg_flags, payload: bytes.slice(at + NLMSG_HDRLEN, at + head.nlmsg_len) });
        at += NLMSG_ALIGN(head.nlmsg_len);
        if (head.nlmsg_type === NLMSG_ERROR || head.nlmsg_type === NLMSG_DONE) return all;
      }
    }
  } catch (error) {
    if (!isKernelError(error) || error.errno !== 'EAGAIN') throw error;
    return all;
  }
}

/** The errno an acknowledgement or an end carries; 0 for success. */
const errnoOf = (payload: Uint8Array): number => -new DataView(payload.buffer, payload.byteOffset).getInt32(0, true);

function answerText({ type, flags, payload }: Answer, controller: boolean): string[] {
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
    const { cmd } = genlmsghdr.decode(payload);
    return [`  message, command ${cmd}, flags 0x${flags.toString(16)}`, ...attributes(payload.subarray(GENL_HDRLEN), controller)];
  }
  const errno = errnoOf(payload);
  const said = `  ${type === NLMSG_DONE ? 'done' : errno === 0 ? 'ack' : 'error'} ${errno === 0 ? '0' : errnoName(errno) ?? errno}`;
  if ((flags & NLM_F_ACK_TLVS) === 0) return [said];
  const echoed = type === NLMSG_DONE ? 0 : (flags & NLM_F_CAPPED) === 0 ? NLMSG_ALIGN(nlmsghdr.decode(payload, ERRNO_SIZE).nlmsg_len) : NLMSG_HDRLEN;
  return [said, ...attributes(payload.subarray(ERRNO_SIZE + echoed), false)];
}

/**
 * Send one request on a socket of its own.
 *
 * @param strict whether the kernel shall check listings' requests closely
 * @param flags NLM_F_*; NLM_F_REQUEST is always set
 * @returns a line for each answer and attribute, or the errno by which the family is not there
 */
export async function genlRequest(
  p: UserProcess, family: string, cmd: number, flags: number, payload: Uint8Array, strict: boolean,
): Promise<{ readonly lines: readonly string[] } | { readonly absent: string }> {
  const fd = await p.socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
  let seq = 0;
  const exchange = async (type: number, f: number, body: readonly Uint8Array[]): Promise<Answer[]> => {
    const bytes = joined(body);
    const head = nlmsghdr.encode({ nlmsg_len: NLMSG_HDRLEN + bytes.length, nlmsg_type: type, nlmsg_flags: f | NLM_F_REQUEST, nlmsg_seq: ++seq });
    await p.sendmsg(fd, joined([head, bytes]));
    return answers(p, fd);
  };
  try {
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK]) await p.setsockopt(fd, SOL_NETLINK, option, Uint8Array.of(1, 0, 0, 0));
    await p.setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, Uint8Array.of(strict ? 1 : 0, 0, 0, 0));
    let id = GENL_ID_CTRL;
    if (family !== 'nlctrl') {
      const name = new TextEncoder().encode(`${family}\0`);
      const attr = new Uint8Array(NLA_ALIGN(NLA_HDRLEN + name.length));
      attr.set(nlattr.encode({ nla_len: NLA_HDRLEN + name.length, nla_type: CTRL_ATTR_FAMILY_NAME }));
      attr.set(name, NLA_HDRLEN);
      const [reply] = await exchange(GENL_ID_CTRL, 0, [genlmsghdr.encode({ cmd: CTRL_CMD_GETFAMILY, version: 1 }), attr]);
      if (reply === undefined || reply.type === NLMSG_ERROR) return { absent: errnoName(reply === undefined ? 0 : errnoOf(reply.payload)) ?? 'EIO' };
      id = familyId(reply.payload);
    }
    const all = await exchange(id, flags, [genlmsghdr.encode({ cmd, version: 1 }), payload]);
    return { lines: all.flatMap((answer) => answerText(answer, id === GENL_ID_CTRL)) };
  } finally {
    await p.close(fd);
  }
}

/** The family's number in an answer of the controller. */
function familyId(payload: Uint8Array): number {
  for (let at = GENL_HDRLEN; at + NLA_HDRLEN <= payload.length;) {
    const { nla_len, nla_type } = nlattr.decode(payload, at);
    if (nla_type === CTRL_ATTR_FAMILY_ID) return Number(number(payload.subarray(at + NLA_HDRLEN, at + nla_len)));
    at += NLA_ALIGN(nla_len);
  }
  return GENL_ID_CTRL;
}

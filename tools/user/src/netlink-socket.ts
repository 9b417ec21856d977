/** Netlink as a program speaks it: one request, then replies up to the acknowledgement or the end of a listing. */
import type { UserProcess } from '@vdpalab/lab';
import {
  AF_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NLMSGERR_ATTR_MSG, NLMSG_ALIGN, NLMSG_DONE, NLMSG_ERROR, NLMSG_HDRLEN, NLM_F_ACK_TLVS,
  NLM_F_CAPPED, NLM_F_REQUEST, SOCK_RAW, SOL_NETLINK, errnoName, nlaList, nlmsghdr, type ErrnoName,
} from '@vdpalab/uapi';

/** Bytes one receive takes: more than the kernel puts into one datagram. */
const RECEIVE = 65536;
/** Bytes of an error's number. */
const ERRNO_SIZE = 4;

/** A command the kernel refused. */
export class NetlinkError extends Error {
  readonly errno: ErrnoName;
  /** The kernel's own words, where it had some: what iproute2 prints after `Error: `. */
  readonly extack: string | null;

  constructor(errno: ErrnoName, extack: string | null) {
    super(extack === null ? errno : `${errno}: ${extack}`);
    this.name = 'NetlinkError';
    this.errno = errno;
    this.extack = extack;
  }
}

/** A message that came back. */
export interface NetlinkMessage {
  readonly type: number;
  /** Behind the netlink header. */
  readonly payload: Uint8Array;
}

/** A socket of one netlink protocol. */
export class NetlinkSocket {
  readonly #p: UserProcess;
  readonly #fd: number;
  #seq = 0;

  private constructor(p: UserProcess, fd: number) {
    this.#p = p;
    this.#fd = fd;
  }

  /** @param protocol NETLINK_* */
  static async open(p: UserProcess, protocol: number): Promise<NetlinkSocket> {
    const socket = new NetlinkSocket(p, await p.socket(AF_NETLINK, SOCK_RAW, protocol));
    try {
      for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK]) await p.setsockopt(socket.#fd, SOL_NETLINK, option, Uint8Array.of(1, 0, 0, 0));
      return socket;
    } catch (error) {
      await socket.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#p.close(this.#fd);
  }

  /**
   * Send one request and read what comes back.
   *
   * @param flags NLM_F_ACK or NLM_F_DUMP: something must end the replies
   * @throws NetlinkError the kernel's refusal
   */
  async exchange(type: number, flags: number, payload: Uint8Array): Promise<NetlinkMessage[]> {
    const seq = ++this.#seq;
    const head = nlmsghdr.encode({ nlmsg_len: NLMSG_HDRLEN + payload.length, nlmsg_type: type, nlmsg_flags: NLM_F_REQUEST | flags, nlmsg_seq: seq });
    const request = new Uint8Array(head.length + payload.length);
    request.set(head);
    request.set(payload, head.length);
    await this.#p.sendmsg(this.#fd, request);
    return this.#collect(seq);
  }

  /** All replies, up to the acknowledgement or the end of the listing. */
  async #collect(seq: number): Promise<NetlinkMessage[]> {
    const replies: NetlinkMessage[] = [];
    for (;;) {
      const { bytes } = await this.#p.recvmsg(this.#fd, RECEIVE);
      for (let at = 0; at + NLMSG_HDRLEN <= bytes.length;) {
        const head = nlmsghdr.decode(bytes, at);
        const payload = bytes.slice(at + NLMSG_HDRLEN, at + head.nlmsg_len);
        at += NLMSG_ALIGN(head.nlmsg_len);
        if (head.nlmsg_seq !== seq) continue; // of a command that was given up
        if (head.nlmsg_type === NLMSG_ERROR) refuse(payload, head.nlmsg_flags);
        if (head.nlmsg_type === NLMSG_ERROR || head.nlmsg_type === NLMSG_DONE) return replies;
        replies.push({ type: head.nlmsg_type, payload });
      }
    }
  }
}

/** @throws NetlinkError unless the acknowledgement is one of success */
function refuse(payload: Uint8Array, flags: number): void {
  const number = -new DataView(payload.buffer, payload.byteOffset).getInt32(0, true);
  if (number === 0) return;
  const { nlmsg_len } = nlmsghdr.decode(payload, ERRNO_SIZE);
  const echoed = (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : NLMSG_ALIGN(nlmsg_len);
  const tlvs = (flags & NLM_F_ACK_TLVS) === 0 ? [] : nlaList(payload.subarray(ERRNO_SIZE + echoed)).attrs;
  const text = tlvs.find((a) => a.type === NLMSGERR_ATTR_MSG);
  const extack = text === undefined ? null : new TextDecoder().decode(text.payload).replace(/\0+$/, '');
  throw new NetlinkError(errnoName(number) ?? 'EIO', extack);
}

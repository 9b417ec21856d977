/** Generic netlink as a program speaks it: look a family up, send a command, read what comes back. */
import type { UserProcess } from '@vdpalab/lab';
import {
  AF_NETLINK, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, GENL_HDRLEN, GENL_ID_CTRL, NETLINK_CAP_ACK,
  NETLINK_EXT_ACK, NETLINK_GENERIC, NLMSGERR_ATTR_MSG,
  NLMSG_ALIGN, NLMSG_DONE, NLMSG_ERROR, NLMSG_HDRLEN, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_REQUEST, NlaBuilder,
  SOCK_RAW, SOL_NETLINK, errnoName, genlmsghdr, nlaList, nlmsghdr, type ErrnoName, type NlaView,
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

/** Attributes of one message, by type. */
export class GenlMessage {
  readonly cmd: number;
  readonly attrs: readonly NlaView[];

  /** @param payload behind the netlink header */
  constructor(payload: Uint8Array) {
    this.cmd = genlmsghdr.decode(payload).cmd;
    this.attrs = nlaList(payload.subarray(GENL_HDRLEN)).attrs;
  }

  /** The first attribute of a type. @throws Error when there is none */
  bytes(type: number): Uint8Array {
    const attr = this.attrs.find((a) => a.type === type);
    if (attr === undefined) throw new Error(`attribute ${type} is not in the message`);
    return attr.payload;
  }

  has(type: number): boolean {
    return this.attrs.some((a) => a.type === type);
  }

  string(type: number): string {
    return new TextDecoder().decode(this.bytes(type)).replace(/\0+$/, '');
  }

  /** An integer of whatever width it has. */
  number(type: number): number {
    return Number(this.u64(type));
  }

  u64(type: number): bigint {
    return this.bytes(type).reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);
  }
}

/** A socket bound to one family. */
export class GenlSocket {
  readonly #p: UserProcess;
  readonly #fd: number;
  #family = GENL_ID_CTRL;
  #seq = 0;

  private constructor(p: UserProcess, fd: number) {
    this.#p = p;
    this.#fd = fd;
  }

  /** @throws NetlinkError ENOENT when no module has registered the family */
  static async open(p: UserProcess, family: string): Promise<GenlSocket> {
    const socket = new GenlSocket(p, await p.socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
    try {
      for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK]) await p.setsockopt(socket.#fd, SOL_NETLINK, option, Uint8Array.of(1, 0, 0, 0));
      const [reply] = await socket.#exchange(CTRL_CMD_GETFAMILY, NLM_F_ACK, (b) => b.putString(CTRL_ATTR_FAMILY_NAME, family));
      if (reply === undefined) throw new Error(`no answer about family ${family}`);
      socket.#family = reply.number(CTRL_ATTR_FAMILY_ID);
      return socket;
    } catch (error) {
      await socket.close();
      throw error;
    }
  }

  /** A command and its acknowledgement. @returns what was replied before it. @throws NetlinkError the kernel's refusal */
  request(cmd: number, fill: (b: NlaBuilder) => void = () => undefined): Promise<GenlMessage[]> {
    return this.#exchange(cmd, NLM_F_ACK, fill);
  }

  /** A listing. @throws NetlinkError the kernel's refusal */
  dump(cmd: number, fill: (b: NlaBuilder) => void = () => undefined): Promise<GenlMessage[]> {
    return this.#exchange(cmd, NLM_F_DUMP, fill);
  }

  close(): Promise<void> {
    return this.#p.close(this.#fd);
  }

  async #exchange(cmd: number, flags: number, fill: (b: NlaBuilder) => void): Promise<GenlMessage[]> {
    const body = new NlaBuilder();
    body.raw(genlmsghdr.encode({ cmd, version: 1 }));
    fill(body);
    const payload = body.bytes();
    const seq = ++this.#seq;
    const head = nlmsghdr.encode({
      nlmsg_len: NLMSG_HDRLEN + payload.length, nlmsg_type: this.#family, nlmsg_flags: NLM_F_REQUEST | flags, nlmsg_seq: seq,
    });
    const request = new Uint8Array(head.length + payload.length);
    request.set(head);
    request.set(payload, head.length);
    await this.#p.sendmsg(this.#fd, request);
    return this.#collect(seq);
  }

  /** All replies, up to the acknowledgement or the end of the listing. */
  async #collect(seq: number): Promise<GenlMessage[]> {
    const replies: GenlMessage[] = [];
    for (;;) {
      const { bytes } = await this.#p.recvmsg(this.#fd, RECEIVE);
      for (let at = 0; at + NLMSG_HDRLEN <= bytes.length;) {
        const head = nlmsghdr.decode(bytes, at);
        const payload = bytes.slice(at + NLMSG_HDRLEN, at + head.nlmsg_len);
        at += NLMSG_ALIGN(head.nlmsg_len);
        if (head.nlmsg_seq !== seq) continue; // of a command that was given up
        if (head.nlmsg_type === NLMSG_ERROR) refuse(payload, head.nlmsg_flags);
        if (head.nlmsg_type === NLMSG_ERROR || head.nlmsg_type === NLMSG_DONE) return replies;
        replies.push(new GenlMessage(payload));
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

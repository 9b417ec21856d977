/** A process that speaks a generic netlink family, as iproute2's tools do: requests, dumps, errors with their extack. */
import {
  AF_NETLINK, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, GENL_ID_CTRL, MSG_DONTWAIT, NETLINK_EXT_ACK, NETLINK_GENERIC,
  NLMSGERR_ATTR_MSG, NLMSG_DONE, NLMSG_ERROR, NLMSG_HDRLEN, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_REQUEST, NlaBuilder,
  SOCK_RAW, SOL_NETLINK, genlmsghdr, errnoName, nlaList, nlmsgerr, nlmsghdr, sockaddr_nl,
} from '@vdpalab/uapi';

/** System calls, as the `fs` header declares them. */
export interface ToolCalls<P> {
  readonly ksys_socket: (proc: P, family: number, type: number, protocol: number) => Promise<number>;
  readonly ksys_close: (proc: P, fd: number) => Promise<void>;
  readonly ksys_setsockopt: (proc: P, fd: number, level: number, name: number, value: Uint8Array) => Promise<void>;
  readonly ksys_sendmsg: (proc: P, fd: number, bytes: Uint8Array, address: Uint8Array | null) => Promise<number>;
  readonly ksys_recvmsg: (proc: P, fd: number, len: number, flags?: number) => Promise<{ bytes: Uint8Array; address: Uint8Array | null }>;
}

/** Attributes of one message, by number. */
export type Attrs = ReadonlyMap<number, Uint8Array>;

/** What a request came to. */
export interface ToolAnswer {
  /** 'ok', an errno's name, or both names the tool prints: `ENODEV: vdpa: device not found`. */
  readonly result: string;
  readonly messages: readonly Attrs[];
}

/** A netlink socket of a process, and the number of the family. */
export class GenlTool<P> {
  readonly #k: ToolCalls<P>;
  readonly #proc: P;
  readonly #fd: number;
  #family = GENL_ID_CTRL;
  #seq = 0;

  protected constructor(k: ToolCalls<P>, proc: P, fd: number) {
    this.#k = k;
    this.#proc = proc;
    this.#fd = fd;
  }

  /** @throws Error when there is no such family */
  static async connect<P>(k: ToolCalls<P>, proc: P, family: string): Promise<GenlTool<P>> {
    const tool = new GenlTool(k, proc, await GenlTool.socket(k, proc));
    await tool.find(family);
    return tool;
  }

  protected static async socket<P>(k: ToolCalls<P>, proc: P): Promise<number> {
    const fd = await k.ksys_socket(proc, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
    await k.ksys_setsockopt(proc, fd, SOL_NETLINK, NETLINK_EXT_ACK, Uint8Array.of(1, 0, 0, 0));
    return fd;
  }

  protected async find(family: string): Promise<void> {
    const answer = await this.request(CTRL_CMD_GETFAMILY, (b) => b.putString(CTRL_ATTR_FAMILY_NAME, family));
    const id = answer.messages[0]?.get(CTRL_ATTR_FAMILY_ID);
    if (id === undefined) throw new Error(`no netlink family ${family}: ${answer.result}`);
    this.#family = (id[0] ?? 0) | ((id[1] ?? 0) << 8);
  }

  /** Number of the family: type of its messages. */
  get family(): number {
    return this.#family;
  }

  close(): Promise<void> {
    return this.#k.ksys_close(this.#proc, this.#fd);
  }

  /** One request with an acknowledgement. */
  request(cmd: number, fill: (b: NlaBuilder) => void = () => undefined): Promise<ToolAnswer> {
    return this.#exchange(cmd, NLM_F_ACK, fill);
  }

  dump(cmd: number): Promise<ToolAnswer> {
    return this.#exchange(cmd, NLM_F_DUMP, () => undefined);
  }

  async #exchange(cmd: number, flags: number, fill: (b: NlaBuilder) => void): Promise<ToolAnswer> {
    const body = new NlaBuilder();
    body.raw(genlmsghdr.encode({ cmd, version: 1 }));
    fill(body);
    const payload = body.bytes();
    const head = nlmsghdr.encode({
      nlmsg_len: NLMSG_HDRLEN + payload.length, nlmsg_type: this.#family, nlmsg_flags: NLM_F_REQUEST | flags, nlmsg_seq: ++this.#seq,
    });
    const bytes = new Uint8Array(head.length + payload.length);
    bytes.set(head);
    bytes.set(payload, head.length);
    await this.#k.ksys_sendmsg(this.#proc, this.#fd, bytes, sockaddr_nl.encode({ nl_family: AF_NETLINK }));
    return this.#collect();
  }

  async #collect(): Promise<ToolAnswer> {
    const messages: Attrs[] = [];
    for (;;) {
      const { bytes } = await this.#k.ksys_recvmsg(this.#proc, this.#fd, 65_536, MSG_DONTWAIT);
      for (let at = 0; at + NLMSG_HDRLEN <= bytes.length;) {
        const hdr = nlmsghdr.decode(bytes.slice(at, at + NLMSG_HDRLEN));
        const payload = bytes.slice(at + NLMSG_HDRLEN, at + hdr.nlmsg_len);
        if (hdr.nlmsg_type === NLMSG_ERROR) return { result: readError(hdr.nlmsg_flags, payload), messages };
        if (hdr.nlmsg_type === NLMSG_DONE) return { result: errnoText(payload), messages };
        const list = nlaList(payload.subarray(genlmsghdr.size)).attrs;
        messages.push(new Map(list.map((attr) => [attr.type, attr.payload])));
        at += (hdr.nlmsg_len + 3) & ~3;
      }
    }
  }
}

function errnoText(payload: Uint8Array): string {
  const error = new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getInt32(0, true);
  return error === 0 ? 'ok' : errnoName(-error) ?? String(error);
}

function readError(flags: number, payload: Uint8Array): string {
  const name = errnoText(payload);
  if ((flags & NLM_F_ACK_TLVS) === 0) return name;
  const echoed = (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : (nlmsgerr.decode(payload.slice(0, nlmsgerr.size)).msg.nlmsg_len + 3) & ~3;
  const text = nlaList(payload.subarray(4 + echoed)).attrs.find((attr) => attr.type === NLMSGERR_ATTR_MSG);
  return text === undefined ? name : `${name}: ${new TextDecoder().decode(text.payload.subarray(0, -1))}`;
}

/** Links over rtnetlink, as a program asks for them. Mirrors `ip/iplink.c` and `lib/ll_map.c` (iproute2 6.1). */
import { NetlinkError, NetlinkSocket } from '@vdpalab/user';
import {
  AF_PACKET, AF_UNSPEC, IFLA_ALT_IFNAME, IFLA_EXT_MASK, IFLA_IFNAME, IFNAMSIZ, NETLINK_ROUTE, NLM_F_ACK, NLM_F_DUMP, NlaBuilder, RTEXT_FILTER_SKIP_STATS,
  RTEXT_FILTER_VF, RTM_GETLINK, RTM_NEWLINK, ifinfomsg, nlaList, utf8Decode, utf8Encode, type Ifinfomsg,
} from '@vdpalab/uapi';
import type { Program } from '../program.ts';
import { errnoText } from '../system.ts';

/** Ends the program: what it says on standard error, and its status. */
export class Refusal {
  readonly text: string;
  readonly status: number;

  constructor(text: string, status = 255) {
    this.text = text;
    this.status = status;
  }
}

/** An interface as the kernel describes it. */
export class Link {
  readonly index: number;
  /** ARPHRD_* */
  readonly type: number;
  /** IFF_* */
  readonly flags: number;
  readonly #attrs: ReadonlyMap<number, Uint8Array>;

  /** @param payload behind the netlink header */
  constructor(payload: Uint8Array) {
    const head = ifinfomsg.decode(payload);
    this.index = head.ifi_index;
    this.type = head.ifi_type;
    this.flags = head.ifi_flags;
    this.#attrs = new Map(nlaList(payload.subarray(ifinfomsg.size)).attrs.map(({ type, payload: bytes }) => [type, bytes]));
  }

  has(attr: number): boolean {
    return this.#attrs.has(attr);
  }

  /** Nothing for an attribute that is not there. */
  bytes(attr: number): Uint8Array {
    return this.#attrs.get(attr) ?? new Uint8Array(0);
  }

  /** 0 for an attribute that is not there. */
  number(attr: number): number {
    return Number(this.bytes(attr).reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n));
  }

  string(attr: number): string {
    return utf8Decode(this.bytes(attr)).replace(/\0+$/, '');
  }

  get name(): string {
    return this.string(IFLA_IFNAME);
  }
}

/** What libnetlink prints of a refusal. */
export function answers({ extack, errno }: NetlinkError): string {
  return extack === null ? `RTNETLINK answers: ${errnoText(errno)}\n` : `Error: ${extack}${extack.endsWith('.') ? '' : '.'}\n`;
}

/** A socket of NETLINK_ROUTE for one run. */
export class LinkSocket {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  static async open(c: Program): Promise<LinkSocket> {
    return new LinkSocket(await NetlinkSocket.open(c.p, NETLINK_ROUTE));
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  /** @throws NetlinkError the kernel's refusal */
  async change(type: number, flags: number, head: Partial<Ifinfomsg>, attributes: Uint8Array): Promise<void> {
    await this.#socket.exchange(type, NLM_F_ACK | flags, message(head, (b) => void b.raw(attributes)));
  }

  /** One interface. @throws NetlinkError ENODEV */
  async get(name: string, mask = RTEXT_FILTER_VF): Promise<Link> {
    const request = message({ ifi_family: AF_PACKET }, (b) => {
      b.putString(utf8Encode(name).length < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name);
      b.putU32(IFLA_EXT_MASK, mask);
    });
    const [reply] = await this.#socket.exchange(RTM_GETLINK, NLM_F_ACK, request);
    if (reply === undefined) throw new Error(`no answer about interface ${name}`);
    return new Link(reply.payload);
  }

  /** All interfaces. */
  async dump(): Promise<Link[]> {
    const request = message({ ifi_family: AF_PACKET }, (b) => void b.putU32(IFLA_EXT_MASK, RTEXT_FILTER_VF));
    const replies = await this.#socket.exchange(RTM_GETLINK, NLM_F_DUMP, request);
    return replies.filter(({ type }) => type === RTM_NEWLINK).map(({ payload }) => new Link(payload));
  }

  /** `ll_name_to_index`: `ifN` is number N when no interface is called that. @returns 0 for no interface */
  async indexOf(name: string): Promise<number> {
    try {
      return (await this.get(name, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS)).index;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      return Number(/^if(\d+)/.exec(name)?.[1] ?? 0);
    }
  }
}

function message(head: Partial<Ifinfomsg>, fill: (b: NlaBuilder) => void): Uint8Array {
  const b = new NlaBuilder();
  b.raw(ifinfomsg.encode({ ifi_family: AF_UNSPEC, ...head }));
  fill(b);
  return b.bytes();
}

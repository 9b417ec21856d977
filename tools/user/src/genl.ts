/** Generic netlink as a program speaks it: look a family up, send a command, read what comes back. */
import type { UserProcess } from '@vdpalab/lab';
import {
  CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_CMD_GETFAMILY, GENL_HDRLEN, GENL_ID_CTRL, NETLINK_GENERIC, NLM_F_ACK, NLM_F_DUMP,
  NlaBuilder, genlmsghdr, nlaList, type NlaView,
} from '@vdpalab/uapi';
import { NetlinkSocket } from './netlink-socket.ts';

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
  readonly #socket: NetlinkSocket;
  #family = GENL_ID_CTRL;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @throws NetlinkError ENOENT when no module has registered the family */
  static async open(p: UserProcess, family: string): Promise<GenlSocket> {
    const socket = new GenlSocket(await NetlinkSocket.open(p, NETLINK_GENERIC));
    try {
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
    return this.#socket.close();
  }

  async #exchange(cmd: number, flags: number, fill: (b: NlaBuilder) => void): Promise<GenlMessage[]> {
    const body = new NlaBuilder();
    body.raw(genlmsghdr.encode({ cmd, version: 1 }));
    fill(body);
    const messages = await this.#socket.exchange(this.#family, flags, body.bytes());
    return messages.map((m) => new GenlMessage(m.payload));
  }
}

/** A kernel with netlink, and a process that talks to it, for the tests of this package. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import type { Nlmsghdr } from '@vdpalab/uapi';
import type { GenlFamily } from '../header.ts';

/** One message received. */
export interface Received {
  readonly hdr: Nlmsghdr;
  readonly payload: Uint8Array;
}

/** An NLMSG_ERROR, read. */
export interface Ack {
  readonly error: number;
  /** Bytes of the request that came along, its header included. */
  readonly echoed: number;
  readonly flags: number;
  readonly msg: string | undefined;
  readonly offset: number | undefined;
}

/** A netlink socket of a process. */
export class Client {
  readonly k: KernelSymbols;
  readonly proc: Process;
  readonly fd: number;
  #seq = 0;

  constructor(k: KernelSymbols, proc: Process, fd: number) {
    this.k = k;
    this.proc = proc;
    this.fd = fd;
  }

  static async open(k: KernelSymbols, proc: Process, protocol: number = uapi.NETLINK_GENERIC): Promise<Client> {
    return new Client(k, proc, await k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, protocol));
  }

  set(option: number, value = 1): Promise<void> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, value, true);
    return this.k.ksys_setsockopt(this.proc, this.fd, uapi.SOL_NETLINK, option, bytes);
  }

  /** Send raw bytes to the kernel. */
  async send(bytes: Uint8Array): Promise<void> {
    await this.k.ksys_sendmsg(this.proc, this.fd, bytes, uapi.sockaddr_nl.encode({ nl_family: uapi.AF_NETLINK }));
  }

  /** Bytes of a generic netlink request. */
  request(family: number, cmd: number, flags = 0, fill: (b: uapi.NlaBuilder) => void = () => undefined): Uint8Array {
    const builder = new uapi.NlaBuilder();
    builder.raw(uapi.genlmsghdr.encode({ cmd, version: 1 }));
    fill(builder);
    return message(family, uapi.NLM_F_REQUEST | flags, ++this.#seq, builder.bytes());
  }

  /** What one recvmsg gives, split into messages. @throws EAGAIN when nothing waits */
  async receive(len = 32_768): Promise<Received[]> {
    const { bytes } = await this.k.ksys_recvmsg(this.proc, this.fd, len, uapi.MSG_DONTWAIT);
    return split(bytes);
  }

  /** The next one message. */
  async one(): Promise<Received> {
    const messages = await this.receive();
    const [first] = messages;
    if (first === undefined || messages.length !== 1) throw new Error(`${messages.length} messages at once`);
    return first;
  }

  /** Send a request, and read the error or acknowledgement it gets. */
  async ack(bytes: Uint8Array): Promise<Ack> {
    await this.send(bytes);
    return readAck(await this.one());
  }
}

/** Split received bytes into messages. */
export function split(bytes: Uint8Array): Received[] {
  const out: Received[] = [];
  for (let at = 0; at < bytes.length;) {
    const hdr = uapi.nlmsghdr.decode(bytes, at);
    out.push({ hdr, payload: bytes.slice(at + uapi.NLMSG_HDRLEN, at + hdr.nlmsg_len) });
    at += uapi.NLMSG_ALIGN(hdr.nlmsg_len);
  }
  return out;
}

/** A message in bytes. */
export function message(type: number, flags: number, seq: number, payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(uapi.NLMSG_HDRLEN + payload.length);
  out.set(uapi.nlmsghdr.encode({ nlmsg_len: out.length, nlmsg_type: type, nlmsg_flags: flags, nlmsg_seq: seq }));
  out.set(payload, uapi.NLMSG_HDRLEN);
  return out;
}

/** Read an NLMSG_ERROR. */
export function readAck({ hdr, payload }: Received): Ack {
  if (hdr.nlmsg_type !== uapi.NLMSG_ERROR) throw new Error(`message of type ${hdr.nlmsg_type} is no acknowledgement`);
  const { error, msg } = uapi.nlmsgerr.decode(payload);
  const capped = (hdr.nlmsg_flags & uapi.NLM_F_CAPPED) !== 0;
  const echoed = capped ? uapi.NLMSG_HDRLEN : uapi.NLMSG_ALIGN(msg.nlmsg_len);
  const tlvs = new uapi.NlaTable((hdr.nlmsg_flags & uapi.NLM_F_ACK_TLVS) === 0 ? [] : uapi.nlaList(payload.subarray(4 + echoed)).attrs);
  return {
    error, echoed, flags: hdr.nlmsg_flags,
    msg: tlvs.has(uapi.NLMSGERR_ATTR_MSG) ? tlvs.string(uapi.NLMSGERR_ATTR_MSG) : undefined,
    offset: tlvs.has(uapi.NLMSGERR_ATTR_OFFS) ? tlvs.u32(uapi.NLMSGERR_ATTR_OFFS) : undefined,
  };
}

/** Number of a family by its name, asked of the controller as tools do. */
export async function resolve(client: Client, name: string): Promise<number> {
  await client.send(client.request(uapi.GENL_ID_CTRL, uapi.CTRL_CMD_GETFAMILY, 0, (b) => b.putString(uapi.CTRL_ATTR_FAMILY_NAME, name)));
  const { payload } = await client.one();
  return attrs(payload).u16(uapi.CTRL_ATTR_FAMILY_ID);
}

/** Attributes of a generic netlink message's payload. */
export function attrs(payload: Uint8Array): uapi.NlaTable {
  return new uapi.NlaTable(uapi.nlaList(payload.subarray(uapi.GENL_HDRLEN)).attrs);
}

/** Boot. */
export function bootNetlink(options: { seed?: number } = {}): Promise<BootedKernel> {
  return bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'netlink'], options);
}

/** A family for tests; more ops and attributes as given. */
export function toyFamily(more: Partial<GenlFamily>): GenlFamily {
  return { name: 'toy', version: 1, maxattr: 8, policy: {}, ops: [{ cmd: 1, doit: async () => undefined }], netnsok: false, module: null, ...more };
}

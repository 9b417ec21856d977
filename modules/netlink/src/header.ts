/**
 * Netlink sockets and generic netlink families, in real bytes.
 *
 * Mirrors `include/net/{netlink,genetlink}.h`, `net/netlink/{af_netlink,genetlink,policy}.c` (Linux 6.1).
 */
import type { Atomic, KModule } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';

/** `NLA_*` types of a policy. */
export type NlaType = 'u8' | 'u16' | 'u32' | 'u64' | 'flag' | 'nul_string' | 'string' | 'binary' | 'nested' | 'unspec';

/** `struct nla_policy` of one attribute. */
export interface NlaPolicy {
  readonly type: NlaType;
  /** Largest length in bytes of strings (without the zero) and binaries. */
  readonly maxlen?: number;
  /** Smallest length of binaries; with an equal `maxlen` as NLA_POLICY_EXACT_LEN: outside gives ERANGE. */
  readonly minlen?: number;
  /** Range of integers: outside gives ERANGE and the extack "integer out of range". */
  readonly min?: bigint;
  readonly max?: bigint;
}

/** Parsed attributes, by number. */
export interface NlAttrs {
  has: (type: number) => boolean;
  u8: (type: number) => number;
  u16: (type: number) => number;
  u32: (type: number) => number;
  u64: (type: number) => bigint;
  string: (type: number) => string;
  bytes: (type: number) => Uint8Array;
}

/** A message being written: `nla_put*` and `genlmsg_*`. */
export interface NlMessageBuilder {
  /** Bytes so far; a mark for {@link trim}. */
  readonly length: number;
  put: (type: number, bytes: Uint8Array) => Atomic;
  putU8: (type: number, value: number) => Atomic;
  putU16: (type: number, value: number) => Atomic;
  putU32: (type: number, value: number) => Atomic;
  /** @param pad as in nla_put_u64_64bit; the machine reads unaligned words, so no padding is written */
  putU64: (type: number, value: bigint, pad: number) => Atomic;
  putString: (type: number, value: string) => Atomic;
  putFlag: (type: number) => Atomic;
  /** @param type put NLA_F_NESTED into it where the interface does */
  nestStart: (type: number) => number;
  nestEnd: (start: number) => Atomic;
  /** Forget what was written after a mark. */
  trim: (mark: number) => Atomic;
}

/** What a request handler gets: `struct genl_info`. */
export interface GenlInfo {
  readonly cmd: number;
  readonly attrs: NlAttrs;
  readonly proc: Process;
  /** nlmsg_flags of the request. */
  readonly flags: number;
  /** Sender's port id. */
  readonly portid: number;
  readonly seq: number;
  /** Send one reply message of the family. */
  reply: (cmd: number, fill: (msg: NlMessageBuilder) => Atomic) => Atomic;
}

/** One command of a family: `struct genl_ops`. */
export interface GenlOp {
  readonly cmd: number;
  /** GENL_ADMIN_PERM: needs CAP_NET_ADMIN. */
  readonly admin?: boolean;
  /** @throws KernelError its errno, its extack when set */
  readonly doit?: (info: GenlInfo) => Promise<void>;
  /** Every call of `emit` makes one message of the dump. */
  readonly dumpit?: (info: GenlInfo, emit: (cmd: number, fill: (msg: NlMessageBuilder) => Atomic) => Atomic) => Promise<void>;
}

/** `struct genl_family` */
export interface GenlFamily {
  readonly name: string;
  readonly version: number;
  readonly maxattr: number;
  readonly policy: Readonly<Record<number, NlaPolicy>>;
  readonly ops: readonly GenlOp[];
  readonly mcgrps?: readonly string[];
  readonly netnsok: boolean;
  /** Requests do not wait for those of other families. */
  readonly parallel_ops?: boolean;
  readonly module: KModule | null;
}

/** A classic netlink protocol served by a module, such as NETLINK_ROUTE. */
export interface NetlinkKernelSock {
  readonly protocol: number;
  readonly input: (type: number, flags: number, payload: Uint8Array, proc: Process, reply: NetlinkReply) => Promise<void>;
}

/** Answers of a classic protocol. */
export interface NetlinkReply {
  /** One message; `NLM_F_MULTI` is added in a dump. */
  message: (type: number, payload: Uint8Array, flags?: number) => Atomic;
}

export interface NetlinkSymbols {
  /** @throws EEXIST for a name that is taken */
  genl_register_family: (family: GenlFamily) => Atomic;
  genl_unregister_family: (family: GenlFamily) => Atomic;
  /** Multicast one message of the family. */
  genlmsg_multicast: (family: GenlFamily, group: string, cmd: number, fill: (msg: NlMessageBuilder) => Atomic) => Atomic;
  netlink_kernel_create: (sock: NetlinkKernelSock) => Atomic;
  netlink_kernel_release: (protocol: number) => Atomic;
  /** Multicast raw bytes to listeners of a group of a protocol. */
  netlink_broadcast: (protocol: number, group: number, bytes: Uint8Array) => Atomic;
  /** Parse attributes against a policy. @throws EINVAL ERANGE with extack */
  nla_parse: (bytes: Uint8Array, policy: Readonly<Record<number, NlaPolicy>>, maxattr: number) => NlAttrs;
  nlmsg_builder: () => NlMessageBuilder & { bytes: () => Uint8Array };
  netlink_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends NetlinkSymbols {}
}

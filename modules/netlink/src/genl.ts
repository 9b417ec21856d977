/** Generic netlink: requests to families. Mirrors `genl_rcv_msg` in `net/netlink/genetlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Mutex } from '@vdpalab/sched';
import { CAP_NET_ADMIN, GENL_HDRLEN, NETLINK_GENERIC, NLMSG_HDRLEN, NLM_F_DUMP, NlaBuilder, genlmsghdr } from '@vdpalab/uapi';
import { dump } from './dump.ts';
import type { Families, RegisteredFamily } from './family.ts';
import type { GenlInfo, GenlOp, NlMessageBuilder } from './header.ts';
import type { Kernel } from './kernel.ts';
import { newMessage } from './message.ts';
import { parseAttributes } from './policy.ts';
import type { NetlinkTable, Outcome, Request } from './table.ts';

type Fill = (msg: NlMessageBuilder) => Atomic;

/** Payload of one message of a family. */
export function genlPayload({ family }: RegisteredFamily, cmd: number, fill: Fill): Uint8Array<ArrayBuffer> {
  const builder = new NlaBuilder();
  builder.raw(genlmsghdr.encode({ cmd, version: family.version }));
  fill(builder);
  return builder.bytes();
}

/** Multicast one message of a family. */
export function genlMulticast(table: NetlinkTable, registered: RegisteredFamily, group: number, cmd: number, fill: Fill): Atomic {
  const bytes = newMessage({ nlmsg_type: registered.id, nlmsg_flags: 0, nlmsg_seq: 0, nlmsg_pid: 0 }, genlPayload(registered, cmd, fill));
  return table.broadcast(NETLINK_GENERIC, { bytes, portid: 0, group });
}

/** The kernel's side of NETLINK_GENERIC. One request at a time, but for families that take several. */
export class GenlInput {
  readonly #k: Pick<Kernel, 'mutex_lock' | 'mutex_unlock' | 'try_module_get' | 'module_put'>;
  readonly #table: NetlinkTable;
  readonly #families: Families;
  /** `genl_mutex` */
  readonly #lock: Mutex;

  constructor(k: Pick<Kernel, 'mutex_init' | 'mutex_lock' | 'mutex_unlock' | 'try_module_get' | 'module_put'>, table: NetlinkTable, families: Families) {
    this.#k = k;
    this.#table = table;
    this.#families = families;
    this.#lock = k.mutex_init('genl_mutex');
  }

  /** @throws ENOENT for an unknown family; EINVAL, EOPNOTSUPP, EPERM as the family's ops ask */
  async receive(request: Request): Promise<Outcome> {
    const id = request.msg.hdr.nlmsg_type;
    const registered = this.#families.byId(id);
    // A reference instead of cb_lock: while a request runs, the family's module does not go.
    if (registered === null || !this.#k.try_module_get(registered.family.module)) {
      throw new KernelError('ENOENT', 'genl.request.family', `generic netlink family ${id}: not registered`);
    }
    try {
      if (registered.family.parallel_ops === true) return await this.#dispatch(registered, request);
      await this.#k.mutex_lock(this.#lock, 'genl_rcv_msg');
      try {
        return await this.#dispatch(registered, request);
      } finally {
        this.#k.mutex_unlock(this.#lock);
      }
    } finally {
      this.#k.module_put(registered.family.module);
    }
  }

  async #dispatch(registered: RegisteredFamily, request: Request): Promise<Outcome> {
    const { socket, proc, msg } = request;
    const { family } = registered;
    if (msg.bytes.length < NLMSG_HDRLEN + GENL_HDRLEN) {
      throw new KernelError('EINVAL', 'genl.request.short', `${family.name}: a request of ${msg.bytes.length} bytes has no genlmsghdr`);
    }
    const { cmd } = genlmsghdr.decode(msg.payload);
    const op = family.ops.find((o) => o.cmd === cmd);
    if (op === undefined) throw unsupported(registered, cmd);
    if (op.admin === true && !socket.capable(proc, CAP_NET_ADMIN)) {
      throw new KernelError('EPERM', 'genl.request.admin', `${family.name}: command ${cmd} needs CAP_NET_ADMIN`);
    }
    const asksDump = (msg.hdr.nlmsg_flags & NLM_F_DUMP) === NLM_F_DUMP;
    return asksDump ? await this.#dump(registered, op, request) : await this.#do(registered, op, request);
  }

  async #do(registered: RegisteredFamily, op: GenlOp, request: Request): Promise<Outcome> {
    if (op.doit === undefined) throw unsupported(registered, op.cmd);
    await op.doit(this.#info(registered, op, request));
    return 'done';
  }

  async #dump(registered: RegisteredFamily, op: GenlOp, request: Request): Promise<Outcome> {
    const { dumpit } = op;
    if (dumpit === undefined) throw unsupported(registered, op.cmd);
    const info = this.#info(registered, op, request);
    await dump(this.#table, request, (emit) => dumpit(info, (cmd, fill) => emit(registered.id, genlPayload(registered, cmd, fill))));
    return 'dumped';
  }

  #info(registered: RegisteredFamily, op: GenlOp, { socket, proc, msg }: Request): GenlInfo {
    const { family, id } = registered;
    const { nlmsg_flags, nlmsg_seq } = msg.hdr;
    return {
      cmd: op.cmd,
      attrs: parseAttributes(msg.payload.subarray(GENL_HDRLEN), family.policy, family.maxattr),
      proc,
      flags: nlmsg_flags,
      portid: socket.portid,
      seq: nlmsg_seq,
      reply: (cmd, fill) => this.#table.deliver(socket, {
        bytes: newMessage({ nlmsg_type: id, nlmsg_flags: 0, nlmsg_seq, nlmsg_pid: socket.portid }, genlPayload(registered, cmd, fill)),
        portid: 0, group: 0,
      }),
    };
  }
}

function unsupported({ family }: RegisteredFamily, cmd: number): KernelError {
  return new KernelError('EOPNOTSUPP', 'genl.request.command', `${family.name}: no command ${cmd}`);
}

/** A kernel with network devices of a toy driver, and users at sysfs, packet sockets and rtnetlink. */
import type { Process } from '@vdpalab/fs';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import type { NetDevice, NetDeviceOps, SkBuff } from '../header.ts';

/** A booted kernel and what was seen of it. */
export interface NetKernel extends BootedKernel {
  /** Uevents since the last call: `add@/devices/virtual/net/eth0`. */
  readonly uevents: () => string[];
  /** Log lines since the last call. */
  readonly dmesg: () => string[];
  /** Allocate and register a device; `sent` takes what it is given. */
  readonly device: (pattern: string, ops?: Partial<NetDeviceOps>) => Promise<ToyDevice>;
  /** A frame comes in. */
  readonly receive: (dev: NetDevice, bytes: Uint8Array) => void;
}

/** A device, and the frames its driver was given. */
export interface ToyDevice {
  readonly dev: NetDevice;
  readonly sent: Uint8Array[];
}

/** Boot. */
export async function bootNet(options: BootOptions = {}): Promise<NetKernel> {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'netlink', 'netdev'], options);
  const { k } = kernel;
  const events: string[] = [];
  k.uevent_listen(({ action, devpath }): undefined => void events.push(`${action}@${devpath}`));
  return {
    ...kernel,
    uevents: () => events.splice(0),
    dmesg: () => kernel.log.splice(0).map(({ text }) => text),
    device: (pattern, ops = {}) => kernel.run(async () => {
      const sent: Uint8Array[] = [];
      const dev = k.alloc_etherdev(pattern, toyOps(kernel, sent, ops), null, null);
      k.eth_hw_addr_set(dev, mac('52:54:00:00:00:0a'));
      await k.register_netdev(dev);
      return { dev, sent };
    }),
    receive(dev, bytes) {
      const skb = k.alloc_skb(bytes.length, 0);
      k.skb_store_bits(skb, bytes);
      skb.dev = dev;
      k.netif_receive_skb(skb);
    },
  };
}

function toyOps({ k }: BootedKernel, sent: Uint8Array[], ops: Partial<NetDeviceOps>): NetDeviceOps {
  return {
    ndo_open: async () => undefined,
    ndo_stop: async () => undefined,
    ndo_start_xmit(skb: SkBuff) {
      sent.push(k.skb_copy_bits(skb));
      k.kfree_skb(skb);
      return 'NETDEV_TX_OK';
    },
    ...ops,
  };
}

/** Read `52:54:00:00:00:0a`. */
export function mac(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** An Ethernet frame. @param length of all of it */
export function frame(to: string, protocol: number, length = 60, from = '02:00:00:00:00:01'): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([...mac(to), ...mac(from), protocol >>> 8, protocol & 0xff]);
  for (let i = 14; i < length; i++) bytes[i] = i;
  return bytes;
}

/** A link address in bytes. @param protocol in host byte order */
export function linkAddress(ifindex: number, protocol = 0): Uint8Array {
  return uapi.sockaddr_ll.encode({ sll_family: uapi.AF_PACKET, sll_protocol: protocol, sll_ifindex: ifindex });
}

/** Third argument of socket(): network byte order. */
export function htons(protocol: number): number {
  return ((protocol & 0xff) << 8) | (protocol >>> 8);
}

/** What came back from a request. */
export interface Answer {
  /** Link messages. */
  readonly links: readonly Uint8Array[];
  /** 0, or a negative errno; `null` without an acknowledgement. */
  readonly error: number | null;
  readonly extack: string | null;
}

/** Send one request to NETLINK_ROUTE and read all that comes back. */
export async function route(
  { k }: BootedKernel, proc: Process, type: number, flags: number, head: Partial<uapi.Ifinfomsg>, fill: (b: uapi.NlaBuilder) => void = () => undefined,
): Promise<Answer> {
  const fd = await k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_ROUTE);
  try {
    await k.ksys_setsockopt(proc, fd, uapi.SOL_NETLINK, uapi.NETLINK_EXT_ACK, Uint8Array.of(1, 0, 0, 0));
    const builder = new uapi.NlaBuilder();
    builder.raw(uapi.ifinfomsg.encode(head));
    fill(builder);
    await k.ksys_sendmsg(proc, fd, netlinkMessage(type, uapi.NLM_F_REQUEST | flags, builder.bytes()), null);
    return await answers(k, proc, fd);
  } finally {
    await k.ksys_close(proc, fd);
  }
}

/** A message in bytes. */
export function netlinkMessage(type: number, flags: number, payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(uapi.NLMSG_HDRLEN + payload.length);
  out.set(uapi.nlmsghdr.encode({ nlmsg_len: out.length, nlmsg_type: type, nlmsg_flags: flags, nlmsg_seq: 7 }));
  out.set(payload, uapi.NLMSG_HDRLEN);
  return out;
}

/** All messages that wait on a netlink socket. */
export async function answers(k: BootedKernel['k'], proc: Process, fd: number): Promise<Answer> {
  const links: Uint8Array[] = [];
  let error: number | null = null;
  let extack: string | null = null;
  while ((await k.ksys_poll(proc, [{ fd, events: uapi.POLLIN }], 0))[0] !== 0) {
    const { bytes } = await k.ksys_recvmsg(proc, fd, 65_536, uapi.MSG_DONTWAIT);
    for (let at = 0; at < bytes.length;) {
      const { nlmsg_len: length, nlmsg_type: type, nlmsg_flags: flags } = uapi.nlmsghdr.decode(bytes, at);
      const payload = bytes.slice(at + uapi.NLMSG_HDRLEN, at + length);
      at += uapi.NLMSG_ALIGN(length);
      if (type === uapi.RTM_NEWLINK || type === uapi.RTM_DELLINK) links.push(payload);
      if (type !== uapi.NLMSG_ERROR) continue;
      const status = uapi.nlmsgerr.decode(payload);
      error = status.error;
      if ((flags & uapi.NLM_F_ACK_TLVS) === 0) continue;
      const echoed = (flags & uapi.NLM_F_CAPPED) !== 0 ? uapi.NLMSG_HDRLEN : uapi.NLMSG_ALIGN(status.msg.nlmsg_len);
      const tlvs = new uapi.NlaTable(uapi.nlaList(payload.subarray(4 + echoed)).attrs);
      extack = tlvs.has(uapi.NLMSGERR_ATTR_MSG) ? tlvs.string(uapi.NLMSGERR_ATTR_MSG) : null;
    }
  }
  return { links, error, extack };
}

/** A link message, read. */
export function readLink(payload: Uint8Array): { head: uapi.Ifinfomsg; attrs: uapi.NlaTable } {
  return {
    head: uapi.ifinfomsg.decode(payload),
    attrs: new uapi.NlaTable(uapi.nlaList(payload.subarray(uapi.ifinfomsg.size)).attrs),
  };
}

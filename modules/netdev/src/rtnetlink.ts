/** Links over NETLINK_ROUTE. Mirrors `net/core/rtnetlink.c` (Linux 6.1): get and set of what exists, no creation. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { FsSymbols } from '@vdpalab/fs';
import type { NetlinkKernelSock } from '@vdpalab/netlink';
import {
  AF_UNSPEC, ARPHRD_ETHER, CAP_NET_ADMIN, IFF_UP, IFLA_ADDRESS, IFLA_BROADCAST, IFLA_CARRIER, IFLA_GROUP, IFLA_IFNAME,
  IFLA_LINKMODE, IFLA_MAX_MTU, IFLA_MIN_MTU, IFLA_MTU, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES, IFLA_OPERSTATE, IFLA_PARENT_DEV_BUS_NAME,
  IFLA_PARENT_DEV_NAME, IFLA_PROMISCUITY, IFLA_QDISC, IFLA_STATS64, IFLA_TXQLEN, IFLA_VF_INFO, IFLA_VF_MAC, IFLA_VFINFO_LIST, IF_OPER_DOWN,
  IF_OPER_UP, ifinfomsg, NETLINK_ROUTE, nlaList, NLM_F_DUMP, NlaBuilder, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK,
} from '@vdpalab/uapi';
import type { EtherDevice } from './device.ts';

/** What links can be told. */
export interface LinkActions {
  readonly devices: () => readonly EtherDevice[];
  readonly setUp: (dev: EtherDevice, up: boolean) => Promise<void>;
  readonly setMtu: (dev: EtherDevice, mtu: number) => Promise<void>;
  readonly setAddress: (dev: EtherDevice, addr: Uint8Array) => Promise<void>;
  readonly rename: (dev: EtherDevice, name: string) => Promise<void>;
}

/** Words of `struct rtnl_link_stats64` that are kept, by index; all others are 0. */
function stats64(dev: EtherDevice): Uint8Array {
  const s = dev.stats;
  const words = [s.rx_packets, s.tx_packets, s.rx_bytes, s.tx_bytes, s.rx_errors, s.tx_errors, s.rx_dropped, s.tx_dropped, 0, 0, s.rx_length_errors];
  const view = new DataView(new ArrayBuffer(8 * 25));
  words.forEach((word, i) => view.setBigUint64(8 * i, BigInt(word), true));
  return new Uint8Array(view.buffer);
}

/** The body of one RTM_NEWLINK. */
export function linkMessage(dev: EtherDevice, change = 0): Uint8Array {
  const msg = new NlaBuilder();
  msg.raw(ifinfomsg.encode({
    ifi_family: AF_UNSPEC, ifi_type: ARPHRD_ETHER, ifi_index: dev.ifindex, ifi_flags: dev.shownFlags | (dev.operstate === 'up' ? 0x10000 : 0), ifi_change: change,
  }));
  msg.putString(IFLA_IFNAME, dev.name);
  msg.putU32(IFLA_TXQLEN, 1000);
  msg.putU8(IFLA_OPERSTATE, dev.operstate === 'up' ? IF_OPER_UP : IF_OPER_DOWN);
  msg.putU8(IFLA_LINKMODE, 0);
  msg.putU32(IFLA_MTU, dev.mtu);
  msg.putU32(IFLA_MIN_MTU, dev.min_mtu);
  msg.putU32(IFLA_MAX_MTU, dev.max_mtu);
  msg.putU32(IFLA_GROUP, 0);
  msg.putU32(IFLA_PROMISCUITY, 0);
  msg.putU32(IFLA_NUM_TX_QUEUES, 1);
  msg.putU32(IFLA_NUM_RX_QUEUES, 1);
  msg.putU8(IFLA_CARRIER, dev.carrier ? 1 : 0);
  msg.putString(IFLA_QDISC, dev.up ? 'pfifo_fast' : 'noop');
  msg.put(IFLA_ADDRESS, dev.dev_addr);
  msg.put(IFLA_BROADCAST, new Uint8Array(6).fill(0xff));
  msg.put(IFLA_STATS64, stats64(dev));
  if (dev.parent !== null) {
    msg.putString(IFLA_PARENT_DEV_NAME, dev.parent.name);
    if (dev.parent.bus !== null) msg.putString(IFLA_PARENT_DEV_BUS_NAME, dev.parent.bus.name);
  }
  return msg.bytes();
}

/** A request taken apart. */
interface LinkRequest {
  readonly index: number;
  readonly flags: number;
  readonly change: number;
  readonly attrs: ReadonlyMap<number, Uint8Array>;
}

function parse(payload: Uint8Array): LinkRequest {
  if (payload.length < ifinfomsg.size) throw new KernelError('EINVAL', 'rtnetlink.short', `a link request of ${payload.length} bytes`);
  const head = ifinfomsg.decode(payload);
  const attrs = new Map(nlaList(payload.subarray(ifinfomsg.size)).attrs.map((a) => [a.type, a.payload] as const));
  return { index: head.ifi_index, flags: head.ifi_flags, change: head.ifi_change, attrs };
}

const u32 = (bytes: Uint8Array, what: string): number => {
  if (bytes.length < 4) throw new KernelError('ERANGE', 'rtnetlink.attribute', `${what}: ${bytes.length} bytes`);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
};
const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes).replace(/\0.*$/s, '');

/** The kernel's end of NETLINK_ROUTE. */
export function routeSocket(k: Pick<FsSymbols, 'capable'>, links: LinkActions): NetlinkKernelSock {
  function find(request: LinkRequest): EtherDevice {
    const name = request.attrs.get(IFLA_IFNAME);
    const dev = request.index > 0
      ? links.devices().find((d) => d.ifindex === request.index)
      : name === undefined ? undefined : links.devices().find((d) => d.name === text(name));
    if (request.index <= 0 && name === undefined) throw new KernelError('EINVAL', 'rtnetlink.link.handle', 'neither index nor name');
    if (dev === undefined) throw new KernelError('ENODEV', 'rtnetlink.link.find', `no interface ${request.index > 0 ? `with index ${request.index}` : text(name as Uint8Array)}`);
    return dev;
  }

  /** `do_setvfinfo` of each VF listed. */
  async function setVfs(dev: EtherDevice, list: Uint8Array): Promise<void> {
    for (const info of nlaList(list).attrs.filter((a) => a.type === IFLA_VF_INFO)) {
      for (const attr of nlaList(info.payload).attrs) {
        if (attr.type !== IFLA_VF_MAC) throw new KernelError('EOPNOTSUPP', 'rtnetlink.vf.attribute', `${dev.name}: VF attribute ${attr.type}`);
        const op = dev.netdev_ops.ndo_set_vf_mac;
        if (op === undefined) throw new KernelError('EOPNOTSUPP', 'rtnetlink.vf.op', `${dev.name}: the driver sets up no VFs`);
        await op(dev, u32(attr.payload, 'VF'), attr.payload.slice(4, 10));
      }
    }
  }

  async function set(request: LinkRequest): Promise<void> {
    if (!k.capable(CAP_NET_ADMIN)) throw new KernelError('EPERM', 'rtnetlink.capable', 'links are changed with CAP_NET_ADMIN');
    const dev = find(request);
    const { attrs } = request;
    const address = attrs.get(IFLA_ADDRESS);
    if (address !== undefined) {
      if (address.length < 6) throw new KernelError('EINVAL', 'rtnetlink.address', `${dev.name}: an address of ${address.length} bytes`);
      await links.setAddress(dev, address.slice(0, 6));
    }
    const mtu = attrs.get(IFLA_MTU);
    if (mtu !== undefined) await links.setMtu(dev, u32(mtu, 'mtu'));
    const name = attrs.get(IFLA_IFNAME);
    if (name !== undefined && request.index > 0 && text(name) !== dev.name) await links.rename(dev, text(name));
    const vfs = attrs.get(IFLA_VFINFO_LIST);
    if (vfs !== undefined) await setVfs(dev, vfs);
    if (((request.flags | request.change) & IFF_UP) !== 0) {
      const wanted = (request.change & IFF_UP) === 0 ? dev.up : (request.flags & IFF_UP) !== 0;
      if (wanted !== dev.up) await links.setUp(dev, wanted);
    }
  }

  return {
    protocol: NETLINK_ROUTE,
    async input(type, flags, payload, _, reply) {
      const message = (dev: EtherDevice): Atomic => reply.message(RTM_NEWLINK, linkMessage(dev));
      switch (type) {
        case RTM_GETLINK:
          if ((flags & NLM_F_DUMP) === NLM_F_DUMP) for (const dev of links.devices()) message(dev);
          else message(find(parse(payload)));
          return;
        case RTM_NEWLINK: return await set(parse(payload));
        case RTM_DELLINK: throw new KernelError('EOPNOTSUPP', 'rtnetlink.link.delete', 'hardware interfaces go with their driver');
        default: throw new KernelError('EOPNOTSUPP', 'rtnetlink.type', `message type ${type}`);
      }
    },
  };
}


/** The loopback device: number 1, there from the start. Mirrors `drivers/net/loopback.c` (Linux 6.1). */
import { ARPHRD_LOOPBACK, ETH_ALEN, IFF_LOOPBACK } from '@vdpalab/uapi';
import type { NetDevice, NetDeviceOps, NetdevSymbols, SkBuff } from './header.ts';
import { NetDev, NET_NAME_PREDICTABLE } from './net-device.ts';

/** 64 KiB of payload and headers. */
const MTU = 65536;
/** `GSO_MAX_SIZE` */
const TSO_MAX_SIZE = 8 * 65535;

/** Make and register it. It loses no frame and has no queue: what is sent comes in at once. */
export async function registerLoopback(k: Pick<NetdevSymbols, 'alloc_etherdev' | 'register_netdev' | 'netif_receive_skb'>): Promise<NetDev> {
  const ops: NetDeviceOps = {
    ndo_open: async () => undefined,
    ndo_stop: async () => undefined,
    ndo_start_xmit(skb: SkBuff, dev: NetDevice) {
      dev.stats.tx_packets++;
      dev.stats.tx_bytes += skb.len;
      dev.stats.rx_packets++;
      dev.stats.rx_bytes += skb.len;
      skb.dev = dev;
      k.netif_receive_skb(skb);
      return 'NETDEV_TX_OK';
    },
  };
  const dev = k.alloc_etherdev('lo', ops, null, null);
  if (!(dev instanceof NetDev)) throw new Error('netdev: not a network device of this kernel');
  dev.type = ARPHRD_LOOPBACK;
  dev.flags = IFF_LOOPBACK;
  dev.mtu = MTU;
  dev.min_mtu = 0;
  dev.max_mtu = 0;
  dev.broadcast = new Uint8Array(ETH_ALEN);
  dev.tso_max_size = TSO_MAX_SIZE;
  dev.qdisc_name = 'noqueue';
  dev.name_assign_type = NET_NAME_PREDICTABLE;
  await k.register_netdev(dev);
  return dev;
}

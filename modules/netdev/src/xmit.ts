/** The way of a frame to the driver. Mirrors `__dev_queue_xmit` and `net/sched/sch_generic.c` (Linux 6.1): one FIFO. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Scheduler } from '@vdpalab/abi';
import { ETH_P_8021Q } from '@vdpalab/uapi';
import type { EtherDevice } from './device.ts';
import type { SkBuff } from './header.ts';
import type { Skbs } from './skb.ts';

/** Frames that may wait for the driver. */
const TX_QUEUE_LEN = 1000;
const VLAN_HLEN = 4;

/** Whether the frame's tag allows it four bytes more. */
function isVlan(k: Skbs['symbols'], skb: SkBuff): boolean {
  const head = k.skb_copy_bits(skb).subarray(12, 14);
  return (((head[0] ?? 0) << 8) | (head[1] ?? 0)) === ETH_P_8021Q;
}

/** Hand frames over until none is left or the driver has no room. */
export function runQueue(dev: EtherDevice): undefined {
  while (!dev.queue_stopped && dev.qdisc.length > 0) {
    const skb = dev.qdisc[0] as SkBuff; // the length was looked at
    if (dev.netdev_ops.ndo_start_xmit(skb, dev) === 'NETDEV_TX_BUSY') return;
    dev.qdisc.shift();
  }
}

/** Wake a stopped queue: what waits goes on in atomic work. */
export function wakeQueue(sched: Scheduler, dev: EtherDevice): Atomic {
  if (!dev.queue_stopped) return undefined;
  dev.queue_stopped = false;
  return dev.qdisc.length > 0 ? sched.raise(dev.txWork) : undefined;
}

/**
 * `dev_queue_xmit`: owns the frame, which is freed when it is refused.
 *
 * @param tap told of the frame before the driver gets it
 * @throws ENETDOWN EMSGSIZE ENOBUFS
 */
export function queueXmit(k: Skbs['symbols'], dev: EtherDevice, skb: SkBuff, tap: (skb: SkBuff) => Atomic): Atomic {
  const refuse = (errno: 'ENETDOWN' | 'EMSGSIZE' | 'ENOBUFS', rule: string, text: string): never => {
    k.kfree_skb(skb);
    throw new KernelError(errno, `netdev.xmit.${rule}`, `${dev.name}: ${text}`);
  };
  if (!dev.up) refuse('ENETDOWN', 'down', 'the interface is down');
  const { len } = skb;
  if (len > dev.frameMax && !(len <= dev.frameMax + VLAN_HLEN && isVlan(k, skb))) {
    refuse('EMSGSIZE', 'size', `a frame of ${len} bytes, at most ${dev.frameMax} fit MTU ${dev.mtu}`);
  }
  if (dev.qdisc.length >= TX_QUEUE_LEN) {
    dev.stats.tx_dropped++;
    refuse('ENOBUFS', 'queue', `${dev.qdisc.length} frames wait already`);
  }
  skb.dev = dev;
  tap(skb);
  dev.qdisc.push(skb);
  return runQueue(dev);
}

/** Frames that wait are dropped: the interface goes down. */
export function dropQueue(k: Skbs['symbols'], dev: EtherDevice): Atomic {
  for (let skb = dev.qdisc.shift(); skb !== undefined; skb = dev.qdisc.shift()) k.kfree_skb(skb);
  return undefined;
}

/** Which of several queues a frame leaves by. Mirrors `netdev_pick_tx`, `skb_tx_hash` of `net/core/dev.c` (Linux 6.1). */
import { ETH_HLEN } from '@vdpalab/uapi';
import type { NetDev } from './net-device.ts';
import type { Skb, Skbs } from './skb.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
/** Bytes that tell flows apart: Ethernet, IPv6, two ports. */
const FLOW_BYTES = ETH_HLEN + 40 + 4;
const FNV_OFFSET = 0x811c_9dc5;
const FNV_PRIME = 0x0100_0193;

/** Frames of one flow take one queue, so that they stay in order. */
export function pickQueue(dev: NetDev, skb: Skb, skbs: Skbs): number {
  if (dev.real_num_queues === 1) return 0;
  const head = skbs.head(skb, FLOW_BYTES);
  let hash = FNV_OFFSET;
  for (const [from, to] of flowFields(head)) for (let i = from; i < to && i < head.length; i++) hash = Math.imul(hash ^ head[i]!, FNV_PRIME);
  return (hash >>> 8) % dev.real_num_queues; // the low bits of such a hash mix worst
}

/** Ranges of the bytes that name the flow: addresses and ports of IP, and the Ethernet header of anything else. */
function flowFields(head: Uint8Array): readonly (readonly [number, number])[] {
  const at = ETH_HLEN;
  const type = (head[12]! << 8) | head[13]!;
  const ported = (protocol: number | undefined): boolean => protocol === IPPROTO_TCP || protocol === IPPROTO_UDP;
  if (type === ETH_P_IP) {
    const plain = head[at] === 0x45 && ported(head[at + 9]); // without options, ports follow
    return [[at + 9, at + 10], [at + 12, at + 20], ...(plain ? [[at + 20, at + 24] as const] : [])];
  }
  if (type === ETH_P_IPV6) return [[at + 6, at + 7], [at + 8, at + 40], ...(ported(head[at + 6]) ? [[at + 40, at + 44] as const] : [])];
  return [[0, ETH_HLEN]];
}

/** Counters of a device as user space sees them. Mirrors `struct rtnl_link_stats64` (Linux 6.1). */
import { rtnl_link_stats64 } from '@vdpalab/uapi';
import type { RtnlLinkStats64 } from '@vdpalab/uapi';
import type { NetStats } from './header.ts';
import type { NetDev } from './net-device.ts';

/** In the order of `statistics/`. */
type Stat = Exclude<keyof RtnlLinkStats64, 'rx_otherhost_dropped'>;

const NAMES = Object.keys(rtnl_link_stats64.fields).filter((name) => name !== 'rx_otherhost_dropped') as Stat[]; // keys of that struct

/** All counters; what drivers here do not count is 0. @param dev `null`: the names, all 0 */
export function linkStats(dev: NetDev | null): Readonly<Record<Stat, bigint>> {
  const counted: Partial<Record<Stat, number>> = dev?.stats satisfies NetStats | undefined ?? {};
  const all = NAMES.map((name) => [name, BigInt(counted[name] ?? 0)] as const);
  return Object.fromEntries(all) as Record<Stat, bigint>; // one entry for each name
}

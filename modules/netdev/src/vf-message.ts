/** Virtual functions in link messages. Mirrors `net/core/rtnetlink.c` (Linux 6.1), `rtnl_fill_vf`. Not written: IFLA_VF_VLAN_LIST, counters. */
import * as uapi from '@vdpalab/uapi';
import type { VfInfo } from './header.ts';
import type { Attributes } from './link-message.ts';
import type { NetDev } from './net-device.ts';

/** What a driver does not know of a VF. */
const UNKNOWN = 0xffff_ffff;

/** How many virtual functions the device's parent has, and what its driver knows of each. */
export function putVfs(dev: NetDev, attrs: Attributes): undefined {
  const { parent } = dev.dev;
  if (parent === null) return;
  const count = parent.bus?.num_vf?.(parent) ?? 0;
  attrs.putU32(uapi.IFLA_NUM_VF, count);
  const read = dev.netdev_ops.ndo_get_vf_config;
  if (read === undefined) return;
  const list = attrs.nestStart(uapi.IFLA_VFINFO_LIST);
  for (let vf = 0; vf < count; vf++) putVf(dev, vf, read(dev, vf), attrs);
  return attrs.nestEnd(list);
}

/** `rtnl_fill_vfinfo` */
function putVf(dev: NetDev, vf: number, info: VfInfo, attrs: Attributes): undefined {
  const { vlan = 0, qos = 0, min_tx_rate = 0, max_tx_rate = 0, linkstate = uapi.IFLA_VF_LINK_STATE_AUTO } = info;
  const setting = (value: boolean | undefined): number => (value === undefined ? UNKNOWN : value ? 1 : 0);
  const mac = new Uint8Array(32);
  mac.set(info.mac);
  const broadcast = new Uint8Array(32);
  broadcast.set(dev.broadcast);
  const nested = attrs.nestStart(uapi.IFLA_VF_INFO);
  attrs.put(uapi.IFLA_VF_MAC, uapi.ifla_vf_mac.encode({ vf, mac }));
  attrs.put(uapi.IFLA_VF_BROADCAST, broadcast);
  attrs.put(uapi.IFLA_VF_VLAN, uapi.ifla_vf_vlan.encode({ vf, vlan, qos }));
  attrs.put(uapi.IFLA_VF_RATE, uapi.ifla_vf_rate.encode({ vf, min_tx_rate, max_tx_rate }));
  attrs.put(uapi.IFLA_VF_TX_RATE, uapi.ifla_vf_tx_rate.encode({ vf, rate: max_tx_rate }));
  attrs.put(uapi.IFLA_VF_SPOOFCHK, uapi.ifla_vf_spoofchk.encode({ vf, setting: setting(info.spoofchk) }));
  attrs.put(uapi.IFLA_VF_LINK_STATE, uapi.ifla_vf_link_state.encode({ vf, link_state: linkstate }));
  attrs.put(uapi.IFLA_VF_RSS_QUERY_EN, uapi.ifla_vf_rss_query_en.encode({ vf, setting: setting(info.rss_query_en) }));
  attrs.put(uapi.IFLA_VF_TRUST, uapi.ifla_vf_trust.encode({ vf, setting: setting(info.trusted) }));
  return attrs.nestEnd(nested);
}

/** What a link request changes of virtual functions. Mirrors `net/core/rtnetlink.c` (Linux 6.1), `do_setvfinfo`. */
import { KernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import type { NlaView } from '@vdpalab/uapi';
import type { NetDeviceOps } from './header.ts';
import type { NetDev } from './net-device.ts';

const INT_MAX = 0x7fff_ffff;

/** One attribute of IFLA_VF_INFO: its struct, and what the driver does with it; `undefined` for a driver that does nothing. */
interface VfSetting {
  readonly type: number;
  readonly size: number;
  readonly set: (ops: NetDeviceOps, dev: NetDev, payload: Uint8Array) => { readonly vf: number; readonly run: (() => Promise<void>) | undefined };
}

/** In the order in which they are done, whatever the order of the request. */
const SETTINGS: readonly VfSetting[] = [
  {
    type: uapi.IFLA_VF_MAC, size: uapi.ifla_vf_mac.size,
    set: ({ ndo_set_vf_mac: op }, dev, payload) => {
      const { vf, mac } = uapi.ifla_vf_mac.decode(payload);
      return { vf, run: op === undefined ? undefined : () => op(dev, vf, mac.slice(0, uapi.ETH_ALEN)) };
    },
  },
  {
    type: uapi.IFLA_VF_VLAN, size: uapi.ifla_vf_vlan.size,
    set: ({ ndo_set_vf_vlan: op }, dev, payload) => {
      const { vf, vlan, qos } = uapi.ifla_vf_vlan.decode(payload);
      return { vf, run: op === undefined ? undefined : () => op(dev, vf, vlan, qos) };
    },
  },
  {
    type: uapi.IFLA_VF_TX_RATE, size: uapi.ifla_vf_tx_rate.size,
    set: ({ ndo_set_vf_rate: op, ndo_get_vf_config: read }, dev, payload) => {
      const { vf, rate } = uapi.ifla_vf_tx_rate.decode(payload);
      return { vf, run: op === undefined || read === undefined ? undefined : () => op(dev, vf, read(dev, vf).min_tx_rate ?? 0, rate) };
    },
  },
  {
    type: uapi.IFLA_VF_RATE, size: uapi.ifla_vf_rate.size,
    set: ({ ndo_set_vf_rate: op }, dev, payload) => {
      const { vf, min_tx_rate, max_tx_rate } = uapi.ifla_vf_rate.decode(payload);
      if (max_tx_rate !== 0 && min_tx_rate > max_tx_rate) {
        throw new KernelError('EINVAL', 'rtnetlink.vf.rate', `${dev.name}: VF ${vf}: at least ${min_tx_rate} Mbit/s, at most ${max_tx_rate}`);
      }
      return { vf, run: op === undefined ? undefined : () => op(dev, vf, min_tx_rate, max_tx_rate) };
    },
  },
  {
    type: uapi.IFLA_VF_SPOOFCHK, size: uapi.ifla_vf_spoofchk.size,
    set: ({ ndo_set_vf_spoofchk: op }, dev, payload) => onOff(op, dev, uapi.ifla_vf_spoofchk.decode(payload)),
  },
  {
    type: uapi.IFLA_VF_LINK_STATE, size: uapi.ifla_vf_link_state.size,
    set: ({ ndo_set_vf_link_state: op }, dev, payload) => {
      const { vf, link_state } = uapi.ifla_vf_link_state.decode(payload);
      return { vf, run: op === undefined ? undefined : () => op(dev, vf, link_state) };
    },
  },
  {
    type: uapi.IFLA_VF_RSS_QUERY_EN, size: uapi.ifla_vf_rss_query_en.size,
    set: ({ ndo_set_vf_rss_query_en: op }, dev, payload) => onOff(op, dev, uapi.ifla_vf_rss_query_en.decode(payload)),
  },
  {
    type: uapi.IFLA_VF_TRUST, size: uapi.ifla_vf_trust.size,
    set: ({ ndo_set_vf_trust: op }, dev, payload) => onOff(op, dev, uapi.ifla_vf_trust.decode(payload)),
  },
];

function onOff(
  op: ((dev: NetDev, vf: number, on: boolean) => Promise<void>) | undefined, dev: NetDev, { vf, setting }: { readonly vf: number; readonly setting: number },
): ReturnType<VfSetting['set']> {
  return { vf, run: op === undefined ? undefined : () => op(dev, vf, setting !== 0) };
}

/**
 * Apply one IFLA_VF_INFO.
 *
 * @throws EINVAL for a list of something else, a VF without anything to set, a number that is none; ERANGE for payloads that are too short
 * @throws EOPNOTSUPP for what the driver does not set; what the driver says
 */
export async function setVfInfo(dev: NetDev, info: NlaView): Promise<void> {
  if (info.type !== uapi.IFLA_VF_INFO) {
    throw new KernelError('EINVAL', 'rtnetlink.vf.info', `${dev.name}: attribute ${info.type} in a list of VFs`);
  }
  const { attrs } = uapi.nlaList(info.payload);
  const asked = SETTINGS.map((setting) => ({ setting, attr: attrs.findLast(({ type }) => type === setting.type) }));
  for (const { setting, attr } of asked) {
    if (attr === undefined || attr.payload.length >= setting.size) continue;
    throw new KernelError('ERANGE', 'rtnetlink.vf.length', `${dev.name}: VF attribute ${setting.type} of ${attr.payload.length} bytes, at least ${setting.size}`);
  }
  if (asked.every(({ attr }) => attr === undefined)) throw new KernelError('EINVAL', 'rtnetlink.vf.empty', `${dev.name}: a VF without anything to set`);
  for (const { setting, attr } of asked) {
    if (attr === undefined) continue;
    const { vf, run } = setting.set(dev.netdev_ops, dev, attr.payload);
    if (vf >= INT_MAX) throw new KernelError('EINVAL', 'rtnetlink.vf.number', `${dev.name}: VF ${vf}`);
    if (run === undefined) throw new KernelError('EOPNOTSUPP', 'rtnetlink.vf.unsupported', `${dev.name}: its driver does not set VF attribute ${setting.type}`);
    await run();
  }
}

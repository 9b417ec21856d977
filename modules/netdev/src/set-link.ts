/** Changes of a link request, in Linux's order. Mirrors `net/core/rtnetlink.c` (Linux 6.1), `do_setlink`, `do_setvfinfo`. */
import { KernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import type { NlaView } from '@vdpalab/uapi';
import { changeFlags, changeName, setMacAddress, setMtu, userFlags } from './link.ts';
import type { LinkRequest } from './link-request.ts';
import type { NetDev } from './net-device.ts';
import type { NetWorld } from './table.ts';

const KERN_WARNING = 4;

/**
 * Apply a request to a device. What was done before a part fails stays, with a warning.
 *
 * @throws EINVAL for an address that is too short; what the parts say
 */
export async function setLink(world: NetWorld, dev: NetDev, request: LinkRequest): Promise<void> {
  const { head, attrs, name } = request;
  for (const type of [uapi.IFLA_ADDRESS, uapi.IFLA_BROADCAST]) {
    if (attrs.has(type) && attrs.bytes(type).length < uapi.ETH_ALEN) {
      throw new KernelError('EINVAL', 'rtnetlink.link.address', `${dev.name}: an address of ${attrs.bytes(type).length} bytes`);
    }
  }
  let modified = false;
  try {
    if (attrs.has(uapi.IFLA_ADDRESS)) {
      await setMacAddress(world, dev, attrs.bytes(uapi.IFLA_ADDRESS));
      modified = true;
    }
    if (attrs.has(uapi.IFLA_MTU)) {
      await setMtu(world, dev, attrs.u32(uapi.IFLA_MTU));
      modified = true;
    }
    // A number finds the interface, so that the name is a new one.
    if (head.ifi_index > 0 && name !== null && name !== '') {
      changeName(world, dev, name);
      modified = true;
    }
    if (head.ifi_flags !== 0 || head.ifi_change !== 0) await changeFlags(world, dev, flagsOf(dev, head));
    if (attrs.has(uapi.IFLA_CARRIER)) {
      throw new KernelError('EOPNOTSUPP', 'netdev.carrier.fixed', `${dev.name}: its driver changes no carrier`);
    }
    if (attrs.has(uapi.IFLA_VFINFO_LIST)) {
      for (const info of attrs.list(uapi.IFLA_VFINFO_LIST)) await setVfInfo(dev, info);
    }
  } catch (error) {
    if (modified) {
      world.k._printk(KERN_WARNING, 'A link change request failed with some changes committed already. Interface '
        + `${dev.name} may have been left with an inconsistent configuration, please check.`);
    }
    throw error;
  }
}

/** Only the bits of the mask change; without a mask, all do. @see `rtnl_dev_get_flags` */
function flagsOf(dev: NetDev, { ifi_flags, ifi_change }: LinkRequest['head']): number {
  return ifi_change === 0 ? ifi_flags : (ifi_flags & ifi_change) | (userFlags(dev) & ~ifi_change);
}

/** @throws EINVAL for a list of something else, or without anything; EOPNOTSUPP for what the driver does not set */
async function setVfInfo(dev: NetDev, info: NlaView): Promise<void> {
  if (info.type !== uapi.IFLA_VF_INFO) {
    throw new KernelError('EINVAL', 'rtnetlink.vf.info', `${dev.name}: attribute ${info.type} in a list of VFs`);
  }
  const { attrs } = uapi.nlaList(info.payload);
  if (attrs.length === 0) throw new KernelError('EINVAL', 'rtnetlink.vf.empty', `${dev.name}: a VF without anything to set`);
  for (const attr of attrs) {
    const set = dev.netdev_ops.ndo_set_vf_mac;
    if (attr.type !== uapi.IFLA_VF_MAC || set === undefined) {
      throw new KernelError('EOPNOTSUPP', 'rtnetlink.vf.unsupported', `${dev.name}: its driver does not set VF attribute ${attr.type}`);
    }
    if (attr.payload.length < uapi.ifla_vf_mac.size) {
      throw new KernelError('ERANGE', 'rtnetlink.vf.length', `${dev.name}: a VF address of ${attr.payload.length} bytes`);
    }
    const { vf, mac } = uapi.ifla_vf_mac.decode(attr.payload);
    if (vf >= 0x7fff_ffff) throw new KernelError('EINVAL', 'rtnetlink.vf.number', `${dev.name}: VF ${vf}`);
    await set(dev, vf, mac.slice(0, uapi.ETH_ALEN));
  }
}

/** Changes of a link request, in Linux's order. Mirrors `net/core/rtnetlink.c` (Linux 6.1), `do_setlink`. */
import { KernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import { changeFlags, changeName, setMacAddress, setMtuExt, userFlags } from './link.ts';
import type { LinkRequest } from './link-request.ts';
import type { NetDev } from './net-device.ts';
import { setVfInfo } from './set-vf.ts';
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
  let told = false;
  try {
    if (attrs.has(uapi.IFLA_ADDRESS)) {
      await setMacAddress(world, dev, attrs.bytes(uapi.IFLA_ADDRESS));
      modified = true;
    }
    if (attrs.has(uapi.IFLA_MTU)) {
      await setMtuExt(world, dev, attrs.u32(uapi.IFLA_MTU));
      modified = true;
    }
    if (attrs.has(uapi.IFLA_GROUP)) {
      dev.group = attrs.u32(uapi.IFLA_GROUP);
      told = true;
    }
    // A number finds the interface, so that the name is a new one.
    if (head.ifi_index > 0 && name !== null && name !== '') {
      changeName(world, dev, name);
      modified = true;
    }
    if (attrs.has(uapi.IFLA_IFALIAS)) {
      dev.ifalias = uapi.utf8Decode(attrs.bytes(uapi.IFLA_IFALIAS)).replace(/\0.*$/s, '');
      told = true;
    }
    if (attrs.has(uapi.IFLA_BROADCAST)) {
      dev.broadcast = attrs.bytes(uapi.IFLA_BROADCAST).slice(0, uapi.ETH_ALEN);
      told = true;
    }
    if (head.ifi_flags !== 0 || head.ifi_change !== 0) await changeFlags(world, dev, flagsOf(dev, head));
    if (attrs.has(uapi.IFLA_MASTER)) setMaster(world, dev, attrs.u32(uapi.IFLA_MASTER));
    if (attrs.has(uapi.IFLA_CARRIER)) {
      throw new KernelError('EOPNOTSUPP', 'netdev.carrier.fixed', `${dev.name}: its driver changes no carrier`);
    }
    if (attrs.has(uapi.IFLA_TXQLEN)) {
      dev.tx_queue_len = attrs.u32(uapi.IFLA_TXQLEN);
      told = true;
    }
    if (attrs.has(uapi.IFLA_OPERSTATE)) told = setOperstate(dev, attrs.u8(uapi.IFLA_OPERSTATE)) || told;
    if (attrs.has(uapi.IFLA_LINKMODE)) {
      dev.link_mode = attrs.u8(uapi.IFLA_LINKMODE);
      told = true;
    }
    if (attrs.has(uapi.IFLA_VFINFO_LIST)) {
      for (const info of attrs.list(uapi.IFLA_VFINFO_LIST)) await setVfInfo(dev, info);
    }
    if (attrs.has(uapi.IFLA_PROTO_DOWN)) {
      throw new KernelError('EOPNOTSUPP', 'rtnetlink.link.proto-down', `${dev.name}: its driver lets nobody take it down`);
    }
  } catch (error) {
    if (modified) {
      world.k._printk(KERN_WARNING, 'A link change request failed with some changes committed already. Interface '
        + `${dev.name} may have been left with an inconsistent configuration, please check.`);
    }
    throw error;
  } finally {
    if (told) world.notify(dev, 0);
  }
}

/** No interface here can have others below it. @throws EINVAL for an interface there is not; EOPNOTSUPP @see `do_set_master` */
function setMaster(world: NetWorld, dev: NetDev, ifindex: number): undefined {
  if (ifindex === 0) return; // it has none
  const upper = world.devices.index(ifindex);
  if (upper === null) throw new KernelError('EINVAL', 'rtnetlink.link.master', `${dev.name}: no interface ${ifindex}`);
  throw new KernelError('EOPNOTSUPP', 'rtnetlink.link.no-master', `${dev.name}: ${upper.name} is the master of none`);
}

/** An administrator may say up or dormant, each only after certain states. @returns whether it is another now @see `set_operstate` */
function setOperstate(dev: NetDev, wanted: number): boolean {
  const from: Readonly<Record<number, readonly number[]>> = {
    [uapi.IF_OPER_UP]: [uapi.IF_OPER_DORMANT, uapi.IF_OPER_TESTING],
    [uapi.IF_OPER_DORMANT]: [uapi.IF_OPER_UP, uapi.IF_OPER_UNKNOWN],
    [uapi.IF_OPER_TESTING]: [uapi.IF_OPER_UP, uapi.IF_OPER_UNKNOWN],
  };
  if (from[wanted]?.includes(dev.operstate) !== true) return false;
  dev.operstate = wanted;
  return true;
}

/** Only the bits of the mask change; without a mask, all do. @see `rtnl_dev_get_flags` */
function flagsOf(dev: NetDev, { ifi_flags, ifi_change }: LinkRequest['head']): number {
  return ifi_change === 0 ? ifi_flags : (ifi_flags & ifi_change) | (userFlags(dev) & ~ifi_change);
}

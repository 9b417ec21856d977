/** The generic netlink family `devlink`. Mirrors `devlink_nl_family`, `devlink_nl_policy` of `net/core/devlink.c` (Linux 6.1). */
import type { GenlFamily, GenlOp, NlaPolicy } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';

const range = (type: 'u8' | 'u16', min: number, max: number): NlaPolicy => ({ type, min: BigInt(min), max: BigInt(max) });

const policy: Readonly<Record<number, NlaPolicy>> = {
  [uapi.DEVLINK_ATTR_BUS_NAME]: { type: 'nul_string' },
  [uapi.DEVLINK_ATTR_DEV_NAME]: { type: 'nul_string' },
  [uapi.DEVLINK_ATTR_PORT_INDEX]: { type: 'u32' },
  [uapi.DEVLINK_ATTR_PORT_TYPE]: range('u16', uapi.DEVLINK_PORT_TYPE_AUTO, uapi.DEVLINK_PORT_TYPE_IB),
  [uapi.DEVLINK_ATTR_ESWITCH_MODE]: range('u16', uapi.DEVLINK_ESWITCH_MODE_LEGACY, uapi.DEVLINK_ESWITCH_MODE_SWITCHDEV),
  [uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE]: { type: 'u8' },
  [uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE]: { type: 'u8' },
  [uapi.DEVLINK_ATTR_PARAM_NAME]: { type: 'nul_string' },
  [uapi.DEVLINK_ATTR_PARAM_TYPE]: { type: 'u8' },
  [uapi.DEVLINK_ATTR_PARAM_VALUE_DATA]: { type: 'binary' },
  [uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE]: { type: 'u8' },
  [uapi.DEVLINK_ATTR_PORT_FUNCTION]: { type: 'nested' },
  [uapi.DEVLINK_ATTR_RELOAD_ACTION]: range('u8', uapi.DEVLINK_RELOAD_ACTION_DRIVER_REINIT, uapi.DEVLINK_RELOAD_ACTION_MAX),
  [uapi.DEVLINK_ATTR_RELOAD_LIMITS]: { type: 'binary', minlen: uapi.nla_bitfield32.size, maxlen: uapi.nla_bitfield32.size },
  [uapi.DEVLINK_ATTR_PORT_FLAVOUR]: { type: 'u16' },
  [uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER]: { type: 'u16' },
  [uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER]: { type: 'u32' },
  [uapi.DEVLINK_ATTR_PORT_CONTROLLER_NUMBER]: { type: 'u32' },
};

/** The family with these commands; requests to different instances do not wait for each other. */
export function devlinkFamily(ops: readonly GenlOp[]): GenlFamily {
  return {
    name: uapi.DEVLINK_GENL_NAME,
    version: uapi.DEVLINK_GENL_VERSION,
    maxattr: uapi.DEVLINK_ATTR_MAX,
    policy,
    ops,
    mcgrps: [uapi.DEVLINK_GENL_MCGRP_CONFIG_NAME],
    netnsok: true,
    parallel_ops: true,
    module: null,
  };
}

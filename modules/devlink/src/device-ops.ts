/** Requests about an instance as such: listing, eswitch, reload, info. Mirrors `net/core/devlink.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { GenlInfo, GenlOp } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import type { Devlinks } from './devlinks.ts';
import { InfoReq } from './info.ts';
import { refuse, unsupported } from './instance.ts';
import type { Instance } from './instance.ts';
import { instanceMessage, putHandle } from './messages.ts';
import type { Fill } from './messages.ts';
import { countReload, isInvalidCombination, supportsAction, supportsLimit } from './reload-stats.ts';

/** The commands about instances. */
export function deviceOps(devlinks: Devlinks): GenlOp[] {
  return [
    {
      cmd: uapi.DEVLINK_CMD_GET,
      doit: (info) => devlinks.request(info.attrs, async (instance) => {
        info.reply(uapi.DEVLINK_CMD_NEW, instanceMessage(instance));
      }),
      dumpit: (_, emit) => devlinks.each(async (instance) => {
        emit(uapi.DEVLINK_CMD_NEW, instanceMessage(instance));
      }),
    },
    {
      cmd: uapi.DEVLINK_CMD_ESWITCH_GET,
      admin: true,
      doit: (info) => devlinks.request(info.attrs, async (instance) => {
        info.reply(uapi.DEVLINK_CMD_ESWITCH_GET, await eswitchMessage(instance));
      }),
    },
    {
      cmd: uapi.DEVLINK_CMD_ESWITCH_SET,
      admin: true,
      doit: (info) => devlinks.request(info.attrs, (instance) => setEswitch(instance, info)),
    },
    {
      cmd: uapi.DEVLINK_CMD_RELOAD,
      admin: true,
      doit: (info) => devlinks.request(info.attrs, (instance) => reload(devlinks, instance, info)),
    },
    {
      cmd: uapi.DEVLINK_CMD_INFO_GET,
      doit: (info) => devlinks.request(info.attrs, async (instance) => {
        info.reply(uapi.DEVLINK_CMD_INFO_GET, await infoMessage(instance));
      }),
      dumpit: (_, emit) => devlinks.each(async (instance) => {
        try {
          emit(uapi.DEVLINK_CMD_INFO_GET, await infoMessage(instance));
        } catch (error) {
          if (!isKernelError(error) || error.errno !== 'EOPNOTSUPP') throw error;
        }
      }),
    },
  ];
}

/** `devlink_nl_eswitch_fill` */
async function eswitchMessage(instance: Instance): Promise<Fill> {
  const { ops } = instance;
  const mode = await ops.eswitch_mode_get?.(instance);
  const inline = await ops.eswitch_inline_mode_get?.(instance);
  const encap = await ops.eswitch_encap_mode_get?.(instance);
  return (msg): Atomic => {
    putHandle(msg, instance);
    if (mode !== undefined) msg.putU16(uapi.DEVLINK_ATTR_ESWITCH_MODE, mode);
    if (inline !== undefined) msg.putU8(uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE, inline);
    if (encap !== undefined) msg.putU8(uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE, encap);
  };
}

/** `devlink_nl_cmd_eswitch_set_doit` */
async function setEswitch(instance: Instance, { attrs }: GenlInfo): Promise<void> {
  const { ops } = instance;
  if (attrs.has(uapi.DEVLINK_ATTR_ESWITCH_MODE)) {
    if (ops.eswitch_mode_set === undefined) throw unsupported(instance, 'eswitch_mode_set');
    await ops.eswitch_mode_set(instance, attrs.u16(uapi.DEVLINK_ATTR_ESWITCH_MODE));
  }
  if (attrs.has(uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE)) {
    if (ops.eswitch_inline_mode_set === undefined) throw unsupported(instance, 'eswitch_inline_mode_set');
    await ops.eswitch_inline_mode_set(instance, attrs.u8(uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE));
  }
  if (attrs.has(uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE)) {
    if (ops.eswitch_encap_mode_set === undefined) throw unsupported(instance, 'eswitch_encap_mode_set');
    await ops.eswitch_encap_mode_set(instance, attrs.u8(uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE));
  }
}

/** `devlink_nl_info_fill` */
async function infoMessage(instance: Instance): Promise<Fill> {
  if (instance.ops.info_get === undefined) throw unsupported(instance, 'info_get');
  const req = new InfoReq(instance);
  await instance.ops.info_get(instance, req);
  return (msg): Atomic => {
    putHandle(msg, instance);
    return req.fill(msg);
  };
}

/** `devlink_nl_cmd_reload` and `devlink_reload` */
async function reload(devlinks: Devlinks, instance: Instance, { attrs, reply }: GenlInfo): Promise<void> {
  const { ops } = instance;
  if (!instance.mayReload || ops.reload_down === undefined || ops.reload_up === undefined) throw unsupported(instance, 'reload');
  const action = attrs.has(uapi.DEVLINK_ATTR_RELOAD_ACTION) ? attrs.u8(uapi.DEVLINK_ATTR_RELOAD_ACTION) : uapi.DEVLINK_RELOAD_ACTION_DRIVER_REINIT;
  if (!supportsAction(instance, action)) {
    throw refuse('EOPNOTSUPP', 'reload.action', 'Requested reload action is not supported by the driver', instance.handle);
  }
  const limit = attrs.has(uapi.DEVLINK_ATTR_RELOAD_LIMITS)
    ? limitOf(instance, action, attrs.bytes(uapi.DEVLINK_ATTR_RELOAD_LIMITS)) : uapi.DEVLINK_RELOAD_LIMIT_UNSPEC;

  await ops.reload_down(instance, false, action, limit);
  let performed: number;
  try {
    performed = await ops.reload_up(instance, action, limit);
  } catch (error) {
    setFailed(devlinks, instance, true);
    throw error;
  }
  setFailed(devlinks, instance, false);
  if ((performed & (1 << action)) === 0) throw new Error(`devlink ${instance.handle}: action ${action} was asked for, ${performed.toString(2)} performed`);
  countReload(instance, limit, performed);
  devlinks.notify(instance, uapi.DEVLINK_CMD_NEW, instanceMessage(instance));
  if (!attrs.has(uapi.DEVLINK_ATTR_RELOAD_ACTION) && !attrs.has(uapi.DEVLINK_ATTR_RELOAD_LIMITS)) return;
  reply(uapi.DEVLINK_CMD_RELOAD, (msg): Atomic => {
    putHandle(msg, instance);
    return msg.put(uapi.DEVLINK_ATTR_RELOAD_ACTIONS_PERFORMED, uapi.nla_bitfield32.encode({ value: performed, selector: performed }));
  });
}

/** `devlink_reload_failed_set` */
function setFailed(devlinks: Devlinks, instance: Instance, failed: boolean): void {
  if (instance.reloadFailed === failed) return;
  instance.reloadFailed = failed;
  devlinks.notify(instance, uapi.DEVLINK_CMD_NEW, instanceMessage(instance));
}

/** The one limit that is asked for. @throws EINVAL EOPNOTSUPP */
function limitOf(instance: Instance, action: number, bytes: Uint8Array): number {
  const { value, selector } = uapi.nla_bitfield32.decode(bytes);
  const selected = value & selector;
  if (selected === 0) throw refuse('EINVAL', 'reload.limit', 'Invalid limit selected', instance.handle);
  let limit = 0;
  while ((selected & (1 << limit)) === 0) limit++;
  if (selected !== 1 << limit) throw refuse('EOPNOTSUPP', 'reload.limits', 'Multiselection of limit is not supported', instance.handle);
  if (!supportsLimit(instance, limit)) {
    throw refuse('EOPNOTSUPP', 'reload.limit', 'Requested limit is not supported by the driver', instance.handle);
  }
  if (isInvalidCombination(action, limit)) throw refuse('EINVAL', 'reload.combination', 'Requested limit is invalid for this action', instance.handle);
  return limit;
}

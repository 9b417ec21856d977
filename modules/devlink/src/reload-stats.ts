/** How often an instance was reloaded, and which combinations there are. Mirrors `net/core/devlink.c` (Linux 6.1). */
import type { NlMessageBuilder } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import type { Instance } from './instance.ts';
import { nest } from './messages.ts';

const statKey = (action: number, limit: number): string => `${action} ${limit}`;

/** `devlink_reload_combination_is_invalid` */
export const isInvalidCombination = (action: number, limit: number): boolean =>
  action === uapi.DEVLINK_RELOAD_ACTION_DRIVER_REINIT && limit === uapi.DEVLINK_RELOAD_LIMIT_NO_RESET;

export const supportsAction = ({ ops }: Instance, action: number): boolean => ((ops.reload_actions ?? 0) & (1 << action)) !== 0;

export const supportsLimit = ({ ops }: Instance, limit: number): boolean => ((ops.reload_limits ?? 0) & (1 << limit)) !== 0;

/** Count what a reload did. @param performed bits by DEVLINK_RELOAD_ACTION_* @see `devlink_reload_stats_update` */
export function countReload(instance: Instance, limit: number, performed: number): void {
  for (let action = 0; action <= uapi.DEVLINK_RELOAD_ACTION_MAX; action++) {
    if ((performed & (1 << action)) === 0) continue;
    const key = statKey(action, limit);
    instance.reloads.set(key, (instance.reloads.get(key) ?? 0) + 1);
  }
}

/** Both tables: of reloads asked for here, and of those other hosts caused, of which there are none. */
export function reloadStats(msg: NlMessageBuilder, instance: Instance): void {
  const table = (type: number, remote: boolean): void => nest(msg, type | uapi.NLA_F_NESTED, () => {
    for (let action = uapi.DEVLINK_RELOAD_ACTION_DRIVER_REINIT; action <= uapi.DEVLINK_RELOAD_ACTION_MAX; action++) {
      if (remote || supportsAction(instance, action)) actionStats(msg, instance, action, remote);
    }
  });
  table(uapi.DEVLINK_ATTR_RELOAD_STATS, false);
  table(uapi.DEVLINK_ATTR_REMOTE_RELOAD_STATS, true);
}

/** `devlink_reload_stats_put` of one action */
function actionStats(msg: NlMessageBuilder, instance: Instance, action: number, remote: boolean): void {
  nest(msg, uapi.DEVLINK_ATTR_RELOAD_ACTION_INFO | uapi.NLA_F_NESTED, () => {
    msg.putU8(uapi.DEVLINK_ATTR_RELOAD_ACTION, action);
    nest(msg, uapi.DEVLINK_ATTR_RELOAD_ACTION_STATS | uapi.NLA_F_NESTED, () => {
      for (let limit = uapi.DEVLINK_RELOAD_LIMIT_UNSPEC; limit <= uapi.DEVLINK_RELOAD_LIMIT_MAX; limit++) {
        const shown = remote || limit === uapi.DEVLINK_RELOAD_LIMIT_UNSPEC || supportsLimit(instance, limit);
        if (!shown || isInvalidCombination(action, limit)) continue;
        nest(msg, uapi.DEVLINK_ATTR_RELOAD_STATS_ENTRY | uapi.NLA_F_NESTED, () => {
          msg.putU8(uapi.DEVLINK_ATTR_RELOAD_STATS_LIMIT, limit);
          msg.putU32(uapi.DEVLINK_ATTR_RELOAD_STATS_VALUE, remote ? 0 : instance.reloads.get(statKey(action, limit)) ?? 0);
        });
      }
    });
  });
}

/** The controller, family "nlctrl": finds families. Mirrors `genl_ctrl` in `net/netlink/genetlink.c` (Linux 6.1). Not modelled: CTRL_CMD_GETPOLICY. */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import type { Families, RegisteredFamily } from './family.ts';
import type { GenlFamily, GenlInfo, NlMessageBuilder } from './header.ts';

/** Name of the controller's group: told of families that come and go. */
export const CTRL_GROUP = 'notify';

/** The controller of these families. */
export function controller(families: Families): GenlFamily {
  function find({ attrs }: GenlInfo): RegisteredFamily {
    let asked = 'nothing';
    let found: RegisteredFamily | null = null;
    if (attrs.has(uapi.CTRL_ATTR_FAMILY_ID)) {
      asked = `number ${attrs.u16(uapi.CTRL_ATTR_FAMILY_ID)}`;
      found = families.byId(attrs.u16(uapi.CTRL_ATTR_FAMILY_ID));
    }
    if (attrs.has(uapi.CTRL_ATTR_FAMILY_NAME)) {
      asked = `name ${attrs.string(uapi.CTRL_ATTR_FAMILY_NAME)}`;
      found = families.byName(attrs.string(uapi.CTRL_ATTR_FAMILY_NAME));
    }
    if (found !== null) return found;
    throw new KernelError(asked === 'nothing' ? 'EINVAL' : 'ENOENT', 'genl.ctrl.family', `generic netlink family by ${asked}: none`);
  }

  return {
    name: 'nlctrl',
    version: 2,
    maxattr: uapi.CTRL_ATTR_MAX,
    policy: {
      [uapi.CTRL_ATTR_FAMILY_ID]: { type: 'u16' },
      [uapi.CTRL_ATTR_FAMILY_NAME]: { type: 'nul_string', maxlen: uapi.GENL_NAMSIZ - 1 },
    },
    ops: [{
      cmd: uapi.CTRL_CMD_GETFAMILY,
      doit: async (info) => {
        const found = find(info);
        info.reply(uapi.CTRL_CMD_NEWFAMILY, (msg) => describeFamily(found, msg));
      },
      dumpit: async (_info, emit) => {
        for (const family of families.all()) emit(uapi.CTRL_CMD_NEWFAMILY, (msg) => describeFamily(family, msg));
      },
    }],
    mcgrps: [CTRL_GROUP],
    netnsok: true,
    module: null,
  };
}

/** `ctrl_fill_info`: nests carry no NLA_F_NESTED. */
export function describeFamily({ family, id, firstGroup }: RegisteredFamily, msg: NlMessageBuilder): Atomic {
  msg.putString(uapi.CTRL_ATTR_FAMILY_NAME, family.name);
  msg.putU16(uapi.CTRL_ATTR_FAMILY_ID, id);
  msg.putU32(uapi.CTRL_ATTR_VERSION, family.version);
  msg.putU32(uapi.CTRL_ATTR_HDRSIZE, 0);
  msg.putU32(uapi.CTRL_ATTR_MAXATTR, family.maxattr);
  const hasPolicy = Object.keys(family.policy).length > 0;
  array(msg, uapi.CTRL_ATTR_OPS, family.ops, (op) => {
    msg.putU32(uapi.CTRL_ATTR_OP_ID, op.cmd);
    msg.putU32(uapi.CTRL_ATTR_OP_FLAGS, (op.admin === true ? uapi.GENL_ADMIN_PERM : 0)
      | (op.dumpit === undefined ? 0 : uapi.GENL_CMD_CAP_DUMP) | (op.doit === undefined ? 0 : uapi.GENL_CMD_CAP_DO)
      | (hasPolicy ? uapi.GENL_CMD_CAP_HASPOL : 0));
  });
  array(msg, uapi.CTRL_ATTR_MCAST_GROUPS, family.mcgrps ?? [], (name, i) => {
    msg.putU32(uapi.CTRL_ATTR_MCAST_GRP_ID, firstGroup + i);
    msg.putString(uapi.CTRL_ATTR_MCAST_GRP_NAME, name);
  });
}

/** A nest of nests numbered from 1; none for an empty list. */
function array<T>(msg: NlMessageBuilder, type: number, items: readonly T[], put: (item: T, i: number) => void): void {
  if (items.length === 0) return;
  const outer = msg.nestStart(type);
  items.forEach((item, i) => {
    const inner = msg.nestStart(i + 1);
    put(item, i);
    msg.nestEnd(inner);
  });
  msg.nestEnd(outer);
}

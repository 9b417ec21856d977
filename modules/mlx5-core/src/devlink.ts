/** What devlink may ask of a function. Mirrors `devlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Devlink, DevlinkOps } from '@vdpalab/devlink';
import { DEVLINK_ESWITCH_ENCAP_MODE_BASIC, DEVLINK_ESWITCH_INLINE_MODE_NONE, DEVLINK_RELOAD_ACTION_DRIVER_REINIT } from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import type { Eswitch } from './eswitch.ts';
import { firmwareVersion } from './firmware.ts';
import { loadOne, unloadOne } from './main.ts';
import { refusal } from './refuse.ts';
import { portNew } from './sf-table.ts';
import type { SfTable } from './sf-table.ts';

const core = (devlink: Devlink): CoreDev => devlink.priv as CoreDev; // its constructor made it so

/** @throws EOPNOTSUPP for a function that does not manage the switch @see `mlx5_devlink_eswitch_get` */
function eswitchOf(devlink: Devlink): Eswitch {
  const { eswitch, device } = core(devlink);
  if (eswitch === null) throw new KernelError('EOPNOTSUPP', 'mlx5.eswitch.none', `${device.name}: does not manage the switch`);
  return eswitch;
}

/** @throws EOPNOTSUPP for a function without subfunctions */
function sfTableOf(devlink: Devlink): SfTable {
  const { sfs, device } = core(devlink);
  if (sfs === null) throw new KernelError('EOPNOTSUPP', 'mlx5.sf.none', `${device.name}: has no subfunctions`);
  return sfs.table;
}

/** `mlx5_devlink_ops` */
export const devlinkOps: DevlinkOps = {
  eswitch_mode_get: async (devlink) => eswitchOf(devlink).modeGet(),
  eswitch_mode_set: async (devlink, mode) => eswitchOf(devlink).modeSet(mode),
  eswitch_inline_mode_get: async (devlink) => {
    eswitchOf(devlink);
    return DEVLINK_ESWITCH_INLINE_MODE_NONE;
  },
  eswitch_encap_mode_get: async (devlink) => {
    eswitchOf(devlink);
    return DEVLINK_ESWITCH_ENCAP_MODE_BASIC;
  },
  port_function_hw_addr_get: async (port) => eswitchOf(port.devlink).hwAddrGet(port),
  port_function_hw_addr_set: async (port, mac) => eswitchOf(port.devlink).hwAddrSet(port, mac),
  port_new: async (devlink, attrs) => portNew(core(devlink).sfs?.table ?? null, attrs, core(devlink).pdev.devfn & 7),
  port_del: async (devlink, index) => sfTableOf(devlink).del(index),
  port_fn_state_get: async (port) => sfTableOf(port.devlink).stateGet(port.index),
  port_fn_state_set: async (port, state) => sfTableOf(port.devlink).stateSet(port.index, state),
  async info_get(devlink, req) {
    const dev = core(devlink);
    const { k } = dev;
    k.devlink_info_driver_name_put(req, 'mlx5_core');
    k.devlink_info_version_fixed_put(req, 'fw.psid', dev.boardId);
    const [major, minor, sub] = firmwareVersion(dev);
    const version = `${major}.${minor}.${String(sub).padStart(4, '0')}`;
    for (const put of [k.devlink_info_version_running_put, k.devlink_info_version_stored_put]) for (const name of ['fw.version', 'fw']) put(req, name, version);
  },
  reload_actions: 1 << DEVLINK_RELOAD_ACTION_DRIVER_REINIT,
  async reload_down(devlink) {
    const dev = core(devlink);
    if (dev.sfs?.devs.allocated === true) {
      throw refusal('EOPNOTSUPP', 'mlx5.reload.sfs', `${dev.device.name}: subfunctions have devices`, 'reload is unsupported when SFs are allocated');
    }
    await unloadOne(dev);
  },
  async reload_up(devlink, action) {
    await loadOne(core(devlink));
    return 1 << action;
  },
};

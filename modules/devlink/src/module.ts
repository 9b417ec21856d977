/** Devlink. Mirrors `net/core/devlink.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { deviceOps } from './device-ops.ts';
import { Devlinks } from './devlinks.ts';
import { devlinkFamily } from './family.ts';
import { infoSymbols } from './info.ts';
import { imports } from './kernel.ts';
import { paramOps, paramSymbols } from './params.ts';
import { portOps, portSymbols } from './ports.ts';

export default defineModule({
  name: 'devlink',
  license: 'GPL v2',
  description: 'Devices, ports and parameters of drivers over netlink',
  builtin: true,
  imports,
  exportsGpl: [
    'devlink_alloc_ns', 'devlink_free', 'devlink_register', 'devlink_unregister', 'devlink_set_features', 'devl_lock', 'devl_unlock',
    'devl_assert_locked', 'devl_port_register', 'devl_port_unregister', 'devlink_port_register', 'devlink_port_unregister',
    'devlink_port_type_eth_set', 'devlink_port_type_clear', 'devlink_params_register', 'devlink_params_unregister', 'devlink_param_register',
    'devlink_param_unregister', 'devlink_param_driverinit_value_get', 'devlink_param_driverinit_value_set', 'devlink_param_value_changed',
    'devlink_info_driver_name_put', 'devlink_info_serial_number_put', 'devlink_info_board_serial_number_put', 'devlink_info_version_fixed_put',
    'devlink_info_version_stored_put', 'devlink_info_version_running_put', 'devlink_leftovers',
  ],

  module_init(k, { undo }) {
    const devlinks = new Devlinks(k);
    const family = devlinkFamily([...deviceOps(devlinks), ...portOps(k, devlinks), ...paramOps(devlinks)]);
    k.genl_register_family(family);
    undo.push('netlink family devlink', () => k.genl_unregister_family(family));
    devlinks.family = family;
    return {
      ksymtab: { ...devlinks.symbols(), ...portSymbols(devlinks), ...paramSymbols(devlinks), ...infoSymbols },
      module_exit: null,
    };
  },
});

/** Why devlink and the auxiliary bus refuse. */
import type { RuleRows } from '../rule.ts';

const c = 'net/core/devlink.c';
const aux = 'drivers/base/auxiliary.c';

export const devlinkRules = {
  'auxiliary.add.modname': ['An auxiliary device is named after the module that makes it.', 'Give the module\'s name.', `${aux} __auxiliary_device_add`],
  'auxiliary.driver.id-table': ['A driver says which parts it takes.', 'Give it an id table.', `${aux} __auxiliary_driver_register`],
  'auxiliary.init.name': ['An auxiliary device says which part it is.', 'Give it a name.', `${aux} auxiliary_device_init`],
  'devlink.alloc.reload': ['A driver that can be reloaded says how, both ways, and by which actions.', 'Give reload_down, reload_up and reload_actions, or none of them.', `${c} devlink_reload_actions_valid`],
  'devlink.driverinit.mode': ['The parameter has no mode driverinit.', 'Take a mode that `devlink dev param show` names.', `${c} devlink_param_driverinit_value_set`],
  'devlink.driverinit.reload': ['The driver cannot be reloaded, so nothing is kept for its next start.', 'Give it reload ops.', `${c} devlink_param_driverinit_value_get`],
  'devlink.driverinit.unset': ['The parameter was never given a value.', 'Set one before the instance is registered.', `${c} devlink_param_driverinit_value_get`],
  'devlink.op.eswitch_encap_mode_set': ['The driver cannot change how its eswitch encapsulates.', 'Leave encap-mode away.', `${c} devlink_nl_cmd_eswitch_set_doit`],
  'devlink.op.eswitch_inline_mode_set': ['The driver cannot change its eswitch\'s inline mode.', 'Leave inline-mode away.', `${c} devlink_nl_cmd_eswitch_set_doit`],
  'devlink.op.eswitch_mode_set': ['The device has no eswitch whose mode can be changed.', 'Name the physical function\'s instance.', `${c} devlink_nl_cmd_eswitch_set_doit`],
  'devlink.op.info_get': ['The driver tells nothing of its device.', 'Ask another instance: `devlink dev info`.', `${c} devlink_nl_cmd_info_get_doit`],
  'devlink.op.port_del': ['The driver takes no ports away.', 'Name an instance whose driver makes ports.', `${c} devlink_nl_cmd_port_del_doit`],
  'devlink.op.port_new': ['The driver makes no ports.', 'Name an instance whose driver does: a physical function with subfunctions.', `${c} devlink_nl_cmd_port_new_doit`],
  'devlink.op.port_type_set': ['The driver\'s ports have one type.', 'Leave it.', `${c} devlink_port_type_set`],
  'devlink.op.reload': ['The driver cannot be reloaded.', 'Unbind and bind the device instead.', `${c} devlink_nl_cmd_reload`],
  'devlink.param-set.mode': ['The parameter cannot be set in that mode.', 'Take one that `devlink dev param show` names.', `${c} __devlink_nl_cmd_param_set_doit`],
  'devlink.param-set.type': ['The parameter is of another type.', 'Send the type it has: `devlink dev param show` and PARAM_GET tell it.', `${c} devlink_param_type_get_from_info`],
  'devlink.param-set.value': ['The value is none of the parameter\'s type.', 'Send as many bytes as the type has; a string has at most 31 characters.', `${c} devlink_param_value_get_from_info`],
  'devlink.param.name': ['The instance has a parameter of that name.', 'Take another name.', `${c} devlink_param_register`],
  'devlink.param.unknown': ['The instance has no such parameter.', 'Take one that `devlink dev param show` names.', `${c} devlink_param_get_from_info`],
  'devlink.param.value': ['The parameter has no value in one of its modes.', 'Set it before it is asked for.', `${c} devlink_nl_param_fill`],
  'devlink.param.verify': ['A generic parameter has the name and the type of one, and get and set go with every mode but driverinit.', 'Change what the text says.', `${c} devlink_param_verify`],
  'devlink.port-del.index': ['A port is deleted by its index.', 'Write it behind the instance: DEV/INDEX.', `${c} devlink_nl_cmd_port_del_doit`],
  'devlink.port-function.hw-addr': ['A port function\'s address is a unicast one of 6 bytes.', 'Take one with an even first byte.', `${c} devlink_port_function_hw_addr_set`],
  'devlink.port-function.hw-addr-op': ['The driver sets no addresses of functions.', 'Leave hw_addr away.', `${c} devlink_port_function_hw_addr_set`],
  'devlink.port-function.state': ['The driver\'s functions have no state that can be set.', 'Leave state away.', `${c} devlink_port_fn_state_set`],
  'devlink.port-new.flavour': ['A new port says of which kind it is, and of which PF.', 'Add flavour and pfnum.', `${c} devlink_nl_cmd_port_new_doit`],
  'devlink.port-new.index': ['The driver made a port that is not there.', 'Register it in port_new.', `${c} devlink_port_new_notify`],
  'devlink.port.index': ['The instance has a port of that index.', 'Take another index, or another sfnum.', `${c} devl_port_register`],
  'devlink.reload.action': ['The driver does not reload in that way.', 'Leave action away: driver_reinit.', `${c} devlink_nl_cmd_reload`],
  'devlink.reload.combination': ['The limit does not go with the action: a driver that starts anew resets its device.', 'Take `action fw_activate`, or no limit.', `${c} devlink_reload_combination_is_invalid`],
  'devlink.reload.limit': ['The driver does not keep that limit.', 'Leave limit away.', `${c} devlink_nl_cmd_reload`],
  'devlink.reload.limits': ['One limit at a time.', 'Set one bit.', `${c} devlink_nl_cmd_reload`],
  'devlink.request.device': ['No driver has registered that instance.', '`devlink dev show` lists those there are.', `${c} devlink_get_from_attrs`],
  'devlink.request.handle': ['A request names an instance by bus and device.', 'Send both attributes.', `${c} devlink_get_from_attrs`],
  'devlink.request.port': ['The instance has no such port.', '`devlink port show` lists those there are.', `${c} devlink_port_get_from_attrs`],
} as const satisfies RuleRows;

/** What replies and notifications say. Mirrors the `devlink_nl_*_fill` functions of `net/core/devlink.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { NlMessageBuilder } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import type { DevlinkParamType, DevlinkParamValue, PciFunctionAttrs } from './header.ts';
import type { Instance, ParamItem, Port } from './instance.ts';
import { reloadStats } from './reload-stats.ts';

/** Writes one message; what it tells was asked of the driver before. */
export type Fill = (msg: NlMessageBuilder) => Atomic;

/** `NLA_*` numbers of parameter types. @see include/net/netlink.h */
export const PARAM_TYPES: Readonly<Record<DevlinkParamType, number>> = { u8: 1, u16: 2, u32: 3, string: 5, bool: 6 };

/** Write a nest. */
export function nest(msg: NlMessageBuilder, type: number, body: () => void): void {
  const start = msg.nestStart(type);
  body();
  msg.nestEnd(start);
}

export function putHandle(msg: NlMessageBuilder, instance: Instance): void {
  msg.putString(uapi.DEVLINK_ATTR_BUS_NAME, instance.busName);
  msg.putString(uapi.DEVLINK_ATTR_DEV_NAME, instance.dev.name);
}

/** `devlink_nl_fill` */
export function instanceMessage(instance: Instance): Fill {
  return (msg): Atomic => {
    putHandle(msg, instance);
    msg.putU8(uapi.DEVLINK_ATTR_RELOAD_FAILED, instance.reloadFailed ? 1 : 0);
    nest(msg, uapi.DEVLINK_ATTR_DEV_STATS | uapi.NLA_F_NESTED, () => reloadStats(msg, instance));
  };
}

/** What the driver says, or null where it has no answer for this port. */
async function asked<T>(answer: Promise<T> | undefined): Promise<T | null> {
  try {
    return answer === undefined ? null : await answer;
  } catch (error) {
    if (isKernelError(error) && error.errno === 'EOPNOTSUPP') return null;
    throw error;
  }
}

/** `devlink_nl_port_fill`. @throws the driver's errno */
export async function portMessage(port: Port): Promise<Fill> {
  const { devlink } = port;
  const hwAddr = await asked(devlink.ops.port_function_hw_addr_get?.(port));
  const state = await asked(devlink.ops.port_fn_state_get?.(port));
  return (msg): Atomic => {
    putHandle(msg, devlink);
    msg.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, port.index);
    msg.putU16(uapi.DEVLINK_ATTR_PORT_TYPE, port.type);
    if (port.desiredType !== uapi.DEVLINK_PORT_TYPE_NOTSET) msg.putU16(uapi.DEVLINK_ATTR_PORT_DESIRED_TYPE, port.desiredType);
    if (port.netdev !== null) {
      msg.putU32(uapi.DEVLINK_ATTR_PORT_NETDEV_IFINDEX, port.netdev.ifindex);
      msg.putString(uapi.DEVLINK_ATTR_PORT_NETDEV_NAME, port.netdev.name);
    }
    portAttrs(msg, port);
    if (hwAddr === null && state === null) return;
    nest(msg, uapi.DEVLINK_ATTR_PORT_FUNCTION, () => {
      if (hwAddr !== null) msg.put(uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR, hwAddr);
      if (state === null) return;
      msg.putU8(uapi.DEVLINK_PORT_FN_ATTR_STATE, state.state);
      msg.putU8(uapi.DEVLINK_PORT_FN_ATTR_OPSTATE, state.opstate);
    });
  };
}

/** `devlink_nl_port_attrs_put` */
function portAttrs(msg: NlMessageBuilder, { attrs }: Port): void {
  msg.putU8(uapi.DEVLINK_ATTR_PORT_SPLITTABLE, 0);
  msg.putU16(uapi.DEVLINK_ATTR_PORT_FLAVOUR, attrs.flavour);
  switch (attrs.flavour) {
    case uapi.DEVLINK_PORT_FLAVOUR_PHYSICAL:
      msg.putU32(uapi.DEVLINK_ATTR_PORT_NUMBER, attrs.phys.port_number);
      break;
    case uapi.DEVLINK_PORT_FLAVOUR_VIRTUAL:
      break;
    case uapi.DEVLINK_PORT_FLAVOUR_PCI_PF:
      pciAttrs(msg, attrs.pci_pf);
      break;
    case uapi.DEVLINK_PORT_FLAVOUR_PCI_VF:
      pciAttrs(msg, attrs.pci_vf, () => msg.putU16(uapi.DEVLINK_ATTR_PORT_PCI_VF_NUMBER, attrs.pci_vf.vf));
      break;
    case uapi.DEVLINK_PORT_FLAVOUR_PCI_SF:
      pciAttrs(msg, attrs.pci_sf, () => msg.putU32(uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER, attrs.pci_sf.sf));
      break;
  }
}

/** @param number writes which of the PF's functions it is */
function pciAttrs(msg: NlMessageBuilder, { controller, pf, external }: PciFunctionAttrs, number?: () => Atomic): void {
  msg.putU32(uapi.DEVLINK_ATTR_PORT_CONTROLLER_NUMBER, controller);
  msg.putU16(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER, pf);
  number?.();
  msg.putU8(uapi.DEVLINK_ATTR_PORT_EXTERNAL, external ? 1 : 0);
}

/** `devlink_nl_param_fill`. @throws EOPNOTSUPP when one of its values is not known; the driver's errno */
export async function paramMessage(instance: Instance, { param, driverinit }: ParamItem): Promise<Fill> {
  const values: { readonly cmode: number; readonly value: DevlinkParamValue }[] = [];
  for (let cmode = 0; cmode <= uapi.DEVLINK_PARAM_CMODE_MAX; cmode++) {
    if ((param.supported_cmodes & (1 << cmode)) === 0) continue;
    const value = cmode === uapi.DEVLINK_PARAM_CMODE_DRIVERINIT ? driverinit : await param.get?.(instance, cmode) ?? null;
    if (value === null) throw new KernelError('EOPNOTSUPP', 'devlink.param.value', `${instance.handle}: ${param.name} has no value in mode ${cmode}`);
    values.push({ cmode, value });
  }
  return (msg): Atomic => {
    putHandle(msg, instance);
    nest(msg, uapi.DEVLINK_ATTR_PARAM, () => {
      msg.putString(uapi.DEVLINK_ATTR_PARAM_NAME, param.name);
      if (param.generic) msg.putFlag(uapi.DEVLINK_ATTR_PARAM_GENERIC);
      msg.putU8(uapi.DEVLINK_ATTR_PARAM_TYPE, PARAM_TYPES[param.type]);
      nest(msg, uapi.DEVLINK_ATTR_PARAM_VALUES_LIST, () => {
        for (const { cmode, value } of values) {
          nest(msg, uapi.DEVLINK_ATTR_PARAM_VALUE, () => {
            msg.putU8(uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE, cmode);
            putValue(msg, param.type, value);
          });
        }
      });
    });
  };
}

/** A flag that is off is not written. */
function putValue(msg: NlMessageBuilder, type: DevlinkParamType, value: DevlinkParamValue): void {
  const attr = uapi.DEVLINK_ATTR_PARAM_VALUE_DATA;
  if (type === 'u8') msg.putU8(attr, Number(value));
  else if (type === 'u16') msg.putU16(attr, Number(value));
  else if (type === 'u32') msg.putU32(attr, Number(value));
  else if (type === 'string') msg.putString(attr, String(value));
  else if (value === true) msg.putFlag(attr);
}

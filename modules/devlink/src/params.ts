/** Parameters: symbols and requests. Mirrors `net/core/devlink.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { GenlInfo, GenlOp } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import type { Devlinks } from './devlinks.ts';
import type { Devlink, DevlinkGenericParam, DevlinkParam, DevlinkParamType, DevlinkParamValue, DevlinkSymbols } from './header.ts';
import type { Instance, ParamItem } from './instance.ts';
import { PARAM_TYPES, paramMessage } from './messages.ts';

/** `__DEVLINK_PARAM_MAX_STRING_VALUE`: bytes, the zero included. */
const MAX_STRING_VALUE = 32;

const DRIVERINIT = 1 << uapi.DEVLINK_PARAM_CMODE_DRIVERINIT;

/** `devlink_param_generic`: the parameters that mean the same for all drivers. */
const generic: Readonly<Record<DevlinkGenericParam, DevlinkParamType>> = {
  internal_error_reset: 'bool', max_macs: 'u32', enable_sriov: 'bool', region_snapshot_enable: 'bool', ignore_ari: 'bool',
  msix_vec_per_pf_max: 'u32', msix_vec_per_pf_min: 'u32', fw_load_policy: 'u8', reset_dev_on_drv_probe: 'u8', enable_roce: 'bool',
  enable_remote_dev_reset: 'bool', enable_eth: 'bool', enable_rdma: 'bool', enable_vnet: 'bool', enable_iwarp: 'bool', io_eq_size: 'u32',
  event_eq_size: 'u32',
};

/** What a driver may register. @throws EINVAL @see `devlink_param_verify`, `devlink_param_register` */
function verify({ handle }: Instance, param: DevlinkParam): void {
  const bad = (why: string): KernelError => new KernelError('EINVAL', 'devlink.param.verify', `${handle}: parameter ${param.name}: ${why}`);
  if (param.name === '' || param.supported_cmodes === 0) throw bad('no name or no mode');
  const type = Object.hasOwn(generic, param.name) ? generic[param.name as DevlinkGenericParam] : null;
  if (param.generic !== (type !== null)) throw bad(param.generic ? 'no generic one has this name' : 'a generic one has this name');
  if (type !== null && type !== param.type) throw bad(`a ${param.type}, the generic one is a ${type}`);
  const driverinitOnly = param.supported_cmodes === DRIVERINIT;
  if (driverinitOnly ? param.get !== undefined || param.set !== undefined : param.get === undefined || param.set === undefined) {
    throw bad('get and set go with every mode but driverinit');
  }
}

/** The symbols about parameters. */
export function paramSymbols(devlinks: Devlinks): Pick<DevlinkSymbols, 'devlink_params_register' | 'devlink_params_unregister' | 'devlink_param_register'
  | 'devlink_param_unregister' | 'devlink_param_driverinit_value_get' | 'devlink_param_driverinit_value_set' | 'devlink_param_value_changed'> {
  function unregistered(devlink: Devlink): Instance {
    const instance = devlinks.of(devlink);
    if (instance.registered) throw new Error(`devlink ${instance.handle}: its parameters change while it is registered`);
    return instance;
  }
  const register: DevlinkSymbols['devlink_param_register'] = async (devlink, param) => {
    const instance = unregistered(devlink);
    verify(instance, param);
    if (instance.params.has(param.name)) throw new KernelError('EEXIST', 'devlink.param.name', `${instance.handle}: parameter ${param.name} is there`);
    instance.params.set(param.name, { param, driverinit: null });
  };
  const unregister: DevlinkSymbols['devlink_param_unregister'] = async (devlink, { name }) => {
    const instance = unregistered(devlink);
    if (!instance.params.delete(name)) throw new Error(`devlink ${instance.handle}: no parameter ${name}`);
  };
  return {
    devlink_param_register: register,
    devlink_param_unregister: unregister,
    async devlink_params_register(devlink, params) {
      const done: DevlinkParam[] = [];
      try {
        for (const param of params) {
          await register(devlink, param);
          done.push(param);
        }
      } catch (error) {
        for (const param of done.toReversed()) await unregister(devlink, param);
        throw error;
      }
    },
    async devlink_params_unregister(devlink, params) {
      for (const param of params) await unregister(devlink, param);
    },
    devlink_param_driverinit_value_get(devlink, name) {
      const instance = devlinks.of(devlink);
      if (instance.ops.reload_down === undefined) throw new KernelError('EOPNOTSUPP', 'devlink.driverinit.reload', `${instance.handle}: cannot be reloaded`);
      const { driverinit } = find(instance, name);
      if (driverinit === null) throw new KernelError('EOPNOTSUPP', 'devlink.driverinit.unset', `${instance.handle}: ${name} was never set`);
      return driverinit;
    },
    async devlink_param_driverinit_value_set(devlink, name, value) {
      const instance = unregistered(devlink);
      const item = find(instance, name);
      if ((item.param.supported_cmodes & DRIVERINIT) === 0) {
        throw new KernelError('EOPNOTSUPP', 'devlink.driverinit.mode', `${instance.handle}: ${name} has no mode driverinit`);
      }
      item.driverinit = value;
    },
    async devlink_param_value_changed(devlink, name) {
      const instance = devlinks.of(devlink);
      await devlinks.notifyParam(instance, find(instance, name), uapi.DEVLINK_CMD_PARAM_NEW);
    },
  };
}

/** @throws EINVAL for one it has not */
function find(instance: Instance, name: string): ParamItem {
  const item = instance.params.get(name);
  if (item === undefined) throw new KernelError('EINVAL', 'devlink.param.unknown', `${instance.handle}: no parameter ${name}`);
  return item;
}

/** The commands about parameters. */
export function paramOps(devlinks: Devlinks): GenlOp[] {
  const named = ({ attrs }: GenlInfo, instance: Instance): ParamItem => {
    if (!attrs.has(uapi.DEVLINK_ATTR_PARAM_NAME)) throw new KernelError('EINVAL', 'devlink.param.unknown', `${instance.handle}: no name of a parameter`);
    return find(instance, attrs.string(uapi.DEVLINK_ATTR_PARAM_NAME));
  };
  return [
    {
      cmd: uapi.DEVLINK_CMD_PARAM_GET,
      doit: (info) => devlinks.request(info.attrs, async (instance) => {
        info.reply(uapi.DEVLINK_CMD_PARAM_GET, await paramMessage(instance, named(info, instance)));
      }),
      dumpit: (_, emit) => devlinks.each(async (instance) => {
        for (const item of instance.params.values()) {
          try {
            emit(uapi.DEVLINK_CMD_PARAM_GET, await paramMessage(instance, item));
          } catch (error) {
            if (!isKernelError(error) || error.errno !== 'EOPNOTSUPP') throw error; // one without a value is passed over
          }
        }
      }),
    },
    {
      cmd: uapi.DEVLINK_CMD_PARAM_SET,
      admin: true,
      doit: (info) => devlinks.request(info.attrs, (instance) => setParam(devlinks, instance, named(info, instance), info)),
    },
  ];
}

/** `__devlink_nl_cmd_param_set_doit` */
async function setParam(devlinks: Devlinks, instance: Instance, item: ParamItem, { attrs }: GenlInfo): Promise<void> {
  const { param } = item;
  const subject = `${instance.handle}: parameter ${param.name}`;
  if (!attrs.has(uapi.DEVLINK_ATTR_PARAM_TYPE) || attrs.u8(uapi.DEVLINK_ATTR_PARAM_TYPE) !== PARAM_TYPES[param.type]) {
    throw new KernelError('EINVAL', 'devlink.param-set.type', `${subject}: it is a ${param.type}`);
  }
  const value = valueOf(param, attrs.has(uapi.DEVLINK_ATTR_PARAM_VALUE_DATA) ? attrs.bytes(uapi.DEVLINK_ATTR_PARAM_VALUE_DATA) : null);
  if (value === null) throw new KernelError('EINVAL', 'devlink.param-set.value', `${subject}: no value of a ${param.type}`);
  await param.validate?.(instance, value);
  if (!attrs.has(uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE)) throw new KernelError('EINVAL', 'devlink.param-set.mode', `${subject}: no mode`);
  const cmode = attrs.u8(uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE);
  if (cmode > uapi.DEVLINK_PARAM_CMODE_MAX || (param.supported_cmodes & (1 << cmode)) === 0) {
    throw new KernelError('EOPNOTSUPP', 'devlink.param-set.mode', `${subject}: not in mode ${cmode}`);
  }
  if (cmode === uapi.DEVLINK_PARAM_CMODE_DRIVERINIT) item.driverinit = value;
  else await param.set?.(instance, value, cmode);
  await devlinks.notifyParam(instance, item, uapi.DEVLINK_CMD_PARAM_NEW);
}

/** What the bytes of a value say, or null. @see `devlink_param_value_get_from_info` */
function valueOf({ type }: DevlinkParam, data: Uint8Array | null): DevlinkParamValue | null {
  if (type === 'bool') return data === null ? false : data.length === 0 ? true : null;
  if (data === null) return null;
  if (type === 'string') {
    const zero = data.indexOf(0);
    return zero < 0 || zero >= MAX_STRING_VALUE ? null : uapi.utf8Decode(data.subarray(0, zero));
  }
  const size = { u8: 1, u16: 2, u32: 4 }[type];
  return data.length === size ? data.reduceRight((sum, byte) => sum * 256 + byte, 0) : null;
}

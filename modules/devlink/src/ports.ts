/** Ports: symbols and requests. Mirrors `net/core/devlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { GenlInfo, GenlOp, NetlinkSymbols, NlaPolicy } from '@vdpalab/netlink';
import * as uapi from '@vdpalab/uapi';
import type { Devlinks } from './devlinks.ts';
import type { DevlinkPort, DevlinkSymbols } from './header.ts';
import { Port, portFromAttrs, refuse, unsupported } from './instance.ts';
import type { Instance } from './instance.ts';
import { portMessage } from './messages.ts';

/** Longest address of an interface. */
const MAX_ADDR_LEN = 32;

/** `devlink_function_nl_policy` */
const functionPolicy: Readonly<Record<number, NlaPolicy>> = {
  [uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR]: { type: 'binary' },
  [uapi.DEVLINK_PORT_FN_ATTR_STATE]: {
    type: 'u8', min: BigInt(uapi.DEVLINK_PORT_FN_STATE_INACTIVE), max: BigInt(uapi.DEVLINK_PORT_FN_STATE_ACTIVE),
  },
};

function portOf(devlinks: Devlinks, port: DevlinkPort): Port {
  const instance = devlinks.of(port.devlink);
  const own = instance.ports.get(port.index);
  if (own === undefined || own !== port) throw new Error(`devlink ${instance.handle}: port ${port.index} is not registered`);
  return own;
}

/** The symbols about ports. */
export function portSymbols(devlinks: Devlinks): Pick<DevlinkSymbols, 'devl_port_register' | 'devl_port_unregister' | 'devlink_port_register'
  | 'devlink_port_unregister' | 'devlink_port_type_eth_set' | 'devlink_port_type_clear'> {
  const add: DevlinkSymbols['devl_port_register'] = async (devlink, init, index) => {
    const instance = devlinks.of(devlink);
    devlinks.assertLocked(instance);
    if (instance.ports.has(index)) throw new KernelError('EEXIST', 'devlink.port.index', `${instance.handle}: port ${index} is there`);
    const port = new Port(instance, index, init);
    instance.ports.set(index, port);
    await devlinks.notifyPort(port, uapi.DEVLINK_CMD_PORT_NEW);
    return port;
  };
  const remove: DevlinkSymbols['devl_port_unregister'] = async (port) => {
    const own = portOf(devlinks, port);
    devlinks.assertLocked(own.devlink);
    await devlinks.notifyPort(own, uapi.DEVLINK_CMD_PORT_DEL);
    own.devlink.ports.delete(own.index);
  };
  const setType = async (port: Port, type: number, netdev: Port['netdev']): Promise<void> => {
    Object.assign(port, { type, netdev });
    await devlinks.notifyPort(port, uapi.DEVLINK_CMD_PORT_NEW);
  };
  return {
    devl_port_register: add,
    devl_port_unregister: remove,
    devlink_port_register: (devlink, init, index) => devlinks.locked(devlinks.of(devlink), () => add(devlink, init, index)),
    devlink_port_unregister: (port) => devlinks.locked(devlinks.of(port.devlink), () => remove(port)),
    devlink_port_type_eth_set: (port, netdev) => setType(portOf(devlinks, port), uapi.DEVLINK_PORT_TYPE_ETH, netdev),
    devlink_port_type_clear: (port) => setType(portOf(devlinks, port), uapi.DEVLINK_PORT_TYPE_NOTSET, null),
  };
}

/** The commands about ports. */
export function portOps(k: Pick<NetlinkSymbols, 'nla_parse'>, devlinks: Devlinks): GenlOp[] {
  return [
    {
      cmd: uapi.DEVLINK_CMD_PORT_GET,
      doit: (info) => devlinks.request(info.attrs, async (instance) => {
        info.reply(uapi.DEVLINK_CMD_PORT_NEW, await portMessage(portFromAttrs(instance, info.attrs)));
      }),
      dumpit: (_, emit) => devlinks.each(async (instance) => {
        for (const port of [...instance.ports.values()]) emit(uapi.DEVLINK_CMD_NEW, await portMessage(port)); // the dump says NEW, as Linux's does
      }),
    },
    {
      cmd: uapi.DEVLINK_CMD_PORT_SET,
      admin: true,
      doit: (info) => devlinks.request(info.attrs, (instance) => setPort(k, devlinks, portFromAttrs(instance, info.attrs), info)),
    },
    {
      cmd: uapi.DEVLINK_CMD_PORT_NEW,
      admin: true,
      doit: (info) => devlinks.request(info.attrs, (instance) => newPort(instance, info)),
    },
    {
      cmd: uapi.DEVLINK_CMD_PORT_DEL,
      admin: true,
      doit: (info) => devlinks.request(info.attrs, async (instance) => {
        if (instance.ops.port_del === undefined) throw unsupported(instance, 'port_del');
        if (!info.attrs.has(uapi.DEVLINK_ATTR_PORT_INDEX)) throw refuse('EINVAL', 'port-del.index', 'Port index is not specified', instance.handle);
        await instance.ops.port_del(instance, info.attrs.u32(uapi.DEVLINK_ATTR_PORT_INDEX));
      }),
    },
  ];
}

/** `devlink_nl_cmd_port_new_doit` */
async function newPort(instance: Instance, { attrs, reply }: GenlInfo): Promise<void> {
  const { ops } = instance;
  if (ops.port_new === undefined || ops.port_del === undefined) throw unsupported(instance, 'port_new');
  if (!attrs.has(uapi.DEVLINK_ATTR_PORT_FLAVOUR) || !attrs.has(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER)) {
    throw refuse('EINVAL', 'port-new.flavour', 'Port flavour or PCI PF are not specified', instance.handle);
  }
  const given = (attr: number): number | null => (attrs.has(attr) ? attrs.u32(attr) : null);
  const flavour = attrs.u16(uapi.DEVLINK_ATTR_PORT_FLAVOUR);
  const index = await ops.port_new(instance, {
    flavour,
    pfnum: attrs.u16(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER),
    port_index: given(uapi.DEVLINK_ATTR_PORT_INDEX),
    controller: given(uapi.DEVLINK_ATTR_PORT_CONTROLLER_NUMBER),
    sfnum: flavour === uapi.DEVLINK_PORT_FLAVOUR_PCI_SF ? given(uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER) : null,
  });
  const port = instance.ports.get(index);
  if (port === undefined) throw new KernelError('ENODEV', 'devlink.port-new.index', `${instance.handle}: port ${index} was made and is not there`);
  reply(uapi.DEVLINK_CMD_PORT_NEW, await portMessage(port));
}

/** `devlink_nl_cmd_port_set_doit` */
async function setPort(k: Pick<NetlinkSymbols, 'nla_parse'>, devlinks: Devlinks, port: Port, { attrs }: GenlInfo): Promise<void> {
  if (attrs.has(uapi.DEVLINK_ATTR_PORT_TYPE)) await setType(devlinks, port, attrs.u16(uapi.DEVLINK_ATTR_PORT_TYPE));
  if (attrs.has(uapi.DEVLINK_ATTR_PORT_FUNCTION)) await setFunction(k, devlinks, port, attrs.bytes(uapi.DEVLINK_ATTR_PORT_FUNCTION));
}

/** `devlink_port_type_set` */
async function setType(devlinks: Devlinks, port: Port, type: number): Promise<void> {
  const { devlink } = port;
  if (devlink.ops.port_type_set === undefined) throw unsupported(devlink, 'port_type_set');
  if (type === port.type) return;
  await devlink.ops.port_type_set(port, type);
  port.desiredType = type;
  await devlinks.notifyPort(port, uapi.DEVLINK_CMD_PORT_NEW);
}

/** `devlink_port_function_set`: the address first, so that it is there when the state makes the function start. */
async function setFunction(k: Pick<NetlinkSymbols, 'nla_parse'>, devlinks: Devlinks, port: Port, bytes: Uint8Array): Promise<void> {
  const fn = k.nla_parse(bytes, functionPolicy, uapi.DEVLINK_PORT_FUNCTION_ATTR_MAX);
  if (fn.has(uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR)) await setHwAddr(port, fn.bytes(uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR).slice());
  if (fn.has(uapi.DEVLINK_PORT_FN_ATTR_STATE)) {
    const { devlink } = port;
    const set = devlink.ops.port_fn_state_set;
    if (set === undefined) throw refuse('EOPNOTSUPP', 'port-function.state', 'Function does not support state setting', devlink.handle);
    await set(port, fn.u8(uapi.DEVLINK_PORT_FN_ATTR_STATE));
  }
  await devlinks.notifyPort(port, uapi.DEVLINK_CMD_PORT_NEW);
}

/** `devlink_port_function_hw_addr_set` */
async function setHwAddr(port: Port, addr: Uint8Array): Promise<void> {
  const { devlink } = port;
  const subject = `${devlink.handle}/${port.index}`;
  if (addr.length > MAX_ADDR_LEN) throw refuse('EINVAL', 'port-function.hw-addr', 'Port function hardware address too long', subject);
  if (port.type === uapi.DEVLINK_PORT_TYPE_ETH) {
    if (addr.length !== uapi.ETH_ALEN) throw refuse('EINVAL', 'port-function.hw-addr', 'Address must be 6 bytes for Ethernet device', subject);
    if ((addr[0]! & 1) !== 0) throw refuse('EINVAL', 'port-function.hw-addr', 'Non-unicast hardware address unsupported', subject);
  }
  const set = devlink.ops.port_function_hw_addr_set;
  if (set === undefined) throw refuse('EOPNOTSUPP', 'port-function.hw-addr-op', "Port doesn't support function attributes", subject);
  await set(port, addr);
}

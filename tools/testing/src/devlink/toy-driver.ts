/**
 * A driver with a devlink instance that has all a driver can have, and one that has nothing, as a module: `toy_devlink`, whose
 * devices `toy/toy0` and `toy/toy1` are.
 */
import { KernelError } from '@vdpalab/abi';
import type { ThisModule } from '@vdpalab/abi';
import {
  DEVLINK_ESWITCH_MODE_LEGACY, DEVLINK_ESWITCH_MODE_SWITCHDEV, DEVLINK_PARAM_CMODE_DRIVERINIT, DEVLINK_PARAM_CMODE_PERMANENT,
  DEVLINK_PARAM_CMODE_RUNTIME, DEVLINK_PORT_FLAVOUR_PCI_PF, DEVLINK_PORT_FLAVOUR_PCI_SF, DEVLINK_PORT_FLAVOUR_PCI_VF,
  DEVLINK_PORT_FLAVOUR_PHYSICAL, DEVLINK_PORT_FLAVOUR_VIRTUAL, DEVLINK_PORT_FN_OPSTATE_ATTACHED, DEVLINK_PORT_FN_OPSTATE_DETACHED,
  DEVLINK_PORT_FN_STATE_ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE, DEVLINK_RELOAD_ACTION_DRIVER_REINIT, DEVLINK_RELOAD_ACTION_FW_ACTIVATE,
  DEVLINK_RELOAD_LIMIT_NO_RESET,
} from '@vdpalab/uapi';
import type { Loadable } from '../kernel/boot.ts';

type Value = number | string | boolean;

/** Symbols as the toy calls them; their full types are in headers above this package. */
interface ToyKernel {
  readonly bus_register: (bus: object) => Promise<void>;
  readonly bus_unregister: (bus: object) => Promise<void>;
  readonly device_initialize: (init: { name: string; bus: object }) => object;
  readonly device_add: (dev: object) => Promise<void>;
  readonly device_unregister: (dev: object) => Promise<void>;
  readonly put_device: (dev: object) => undefined;
  readonly devlink_alloc_ns: (ops: object, priv: unknown, dev: object) => object;
  readonly devlink_free: (devlink: object) => undefined;
  readonly devlink_register: (devlink: object) => Promise<void>;
  readonly devlink_unregister: (devlink: object) => Promise<void>;
  readonly devlink_set_features: (devlink: object, features: { reload: boolean }) => undefined;
  readonly devlink_port_register: (devlink: object, port: object, index: number) => Promise<ToyPort>;
  readonly devlink_port_unregister: (port: ToyPort) => Promise<void>;
  readonly devl_port_register: (devlink: object, port: object, index: number) => Promise<ToyPort>;
  readonly devl_port_unregister: (port: ToyPort) => Promise<void>;
  readonly devlink_params_register: (devlink: object, params: readonly object[]) => Promise<void>;
  readonly devlink_params_unregister: (devlink: object, params: readonly object[]) => Promise<void>;
  readonly devlink_param_driverinit_value_set: (devlink: object, name: string, value: Value) => Promise<void>;
  readonly devlink_param_driverinit_value_get: (devlink: object, name: string) => Value;
  readonly devlink_port_type_eth_set: (port: ToyPort, netdev: object) => Promise<void>;
  readonly devlink_port_type_clear: (port: ToyPort) => Promise<void>;
  readonly alloc_etherdev: (pattern: string, ops: object, parent: null, priv: null) => object;
  readonly free_netdev: (netdev: object) => undefined;
  readonly register_netdev: (netdev: object) => Promise<void>;
  readonly unregister_netdev: (netdev: object) => Promise<void>;
  readonly devlink_info_driver_name_put: (req: never, name: string) => undefined;
  readonly devlink_info_serial_number_put: (req: never, sn: string) => undefined;
  readonly devlink_info_board_serial_number_put: (req: never, bsn: string) => undefined;
  readonly devlink_info_version_fixed_put: (req: never, name: string, value: string) => undefined;
  readonly devlink_info_version_running_put: (req: never, name: string, value: string) => undefined;
  readonly devlink_info_version_stored_put: (req: never, name: string, value: string) => undefined;
}

interface ToyPort {
  readonly index: number;
  readonly priv: unknown;
}

/** A subfunction behind a port. */
interface ToyFunction {
  hw_addr: Uint8Array;
  state: number;
}

interface NewAttrs {
  readonly flavour: number;
  readonly pfnum: number;
  readonly port_index: number | null;
  readonly controller: number | null;
  readonly sfnum: number | null;
}

/** What a test looks at, and what it makes fail. */
export interface ToyDevlink {
  readonly module: Loadable;
  /** Calls to ops that change something, oldest first. */
  readonly log: string[];
  /** Names of ops that refuse, with EIO and the extack `toy_devlink: OP fails`. */
  readonly failing: Set<string>;
  /** Runs inside `reload_down`. */
  whileDown: () => Promise<void>;
}

/** Name of the driver, and of the module. */
export const TOY_DEVLINK = 'toy_devlink';

/** Index of the port of subfunction 0. */
const FIRST_SF_PORT = 32768;

const refuse = (errno: 'EOPNOTSUPP' | 'EEXIST' | 'ENODEV' | 'EINVAL' | 'EIO', rule: string, text: string): KernelError =>
  new KernelError(errno, `toy.${rule}`, text, { extack: `${TOY_DEVLINK}: ${text}` });

const driverinit = 1 << DEVLINK_PARAM_CMODE_DRIVERINIT;

/**
 * Make one. State is the toy's own, so load its module once.
 *
 * @param options netdev: its physical port is that of an interface; netdev is among the modules then
 */
export function toyDevlink({ netdev = false }: { readonly netdev?: boolean } = {}): ToyDevlink {
  const log: string[] = [];
  const failing = new Set<string>();
  const toy: ToyDevlink = { module: toyModule(), log, failing, whileDown: async () => undefined };

  function did(op: string, ...what: readonly (number | string | boolean)[]): void {
    if (failing.has(op)) throw refuse('EIO', op, `${op} fails`);
    log.push([op, ...what].join(' '));
  }

  const stored = new Map<string, Value>([['flow_mode', 'dmfs'], ['fw_load_policy', 1], ['toy_u16', 7]]);
  const kept = {
    get: async (param: string): Promise<Value> => stored.get(param) as Value, // every parameter is in the table
    set: async (param: string, value: Value, cmode: number): Promise<void> => {
      did('param_set', param, value, cmode);
      stored.set(param, value);
    },
  };
  const param = (name: string, generic: boolean, type: string, supported_cmodes: number, validate?: (value: Value) => void): object => ({
    name, generic, type, supported_cmodes,
    ...(supported_cmodes === driverinit ? {} : {
      get: () => kept.get(name), set: (_: object, value: Value, cmode: number) => kept.set(name, value, cmode),
    }),
    ...(validate === undefined ? {} : { validate: async (_: object, value: Value) => validate(value) }),
  });
  const params = [
    param('enable_eth', true, 'bool', driverinit), param('enable_rdma', true, 'bool', driverinit), param('enable_vnet', true, 'bool', driverinit),
    param('max_macs', true, 'u32', driverinit, (value) => {
      if (Number(value) > 128) throw refuse('EINVAL', 'max_macs', 'max_macs value is too large');
    }),
    param('flow_mode', false, 'string', 1 << DEVLINK_PARAM_CMODE_RUNTIME),
    param('fw_load_policy', true, 'u8', 1 << DEVLINK_PARAM_CMODE_PERMANENT),
    param('toy_u16', false, 'u16', (1 << DEVLINK_PARAM_CMODE_RUNTIME) | (1 << DEVLINK_PARAM_CMODE_PERMANENT)),
  ];

  function toyOps(k: ToyKernel): object {
    const modes = { mode: DEVLINK_ESWITCH_MODE_LEGACY as number, inline: 0, encap: 1 };
    const ports = new Map<number, ToyPort>();
    const fn = (port: ToyPort): ToyFunction => {
      if (port.priv === null) throw new KernelError('EOPNOTSUPP', 'toy.function', `port ${port.index} has no function`);
      return port.priv as ToyFunction; // ports that are made here have one
    };
    return {
      reload_actions: (1 << DEVLINK_RELOAD_ACTION_DRIVER_REINIT) | (1 << DEVLINK_RELOAD_ACTION_FW_ACTIVATE),
      reload_limits: 1 << DEVLINK_RELOAD_LIMIT_NO_RESET,
      async reload_down(_: object, netns: boolean, action: number, limit: number): Promise<void> {
        did('reload_down', netns, action, limit);
        await toy.whileDown();
      },
      async reload_up(devlink: object, action: number, limit: number): Promise<number> {
        did('reload_up', action, limit, `vnet=${k.devlink_param_driverinit_value_get(devlink, 'enable_vnet')}`);
        return 1 << action;
      },
      eswitch_mode_get: async () => modes.mode,
      eswitch_mode_set: async (_: object, mode: number) => {
        did('eswitch_mode_set', mode);
        modes.mode = mode;
      },
      eswitch_inline_mode_get: async () => modes.inline,
      eswitch_inline_mode_set: async (_: object, mode: number) => {
        did('eswitch_inline_mode_set', mode);
        modes.inline = mode;
      },
      eswitch_encap_mode_get: async () => modes.encap,
      eswitch_encap_mode_set: async (_: object, mode: number) => {
        did('eswitch_encap_mode_set', mode);
        modes.encap = mode;
      },
      async info_get(_: object, req: never): Promise<void> {
        did('info_get');
        k.devlink_info_driver_name_put(req, TOY_DEVLINK);
        k.devlink_info_serial_number_put(req, 'TOY-1');
        k.devlink_info_board_serial_number_put(req, 'BOARD-1');
        k.devlink_info_version_fixed_put(req, 'fw.psid', 'MT_0000000012');
        k.devlink_info_version_running_put(req, 'fw.version', '22.31.1014');
        k.devlink_info_version_running_put(req, 'fw', '22.31.1014');
        k.devlink_info_version_stored_put(req, 'fw.version', '22.32.1000');
      },
      port_type_set: async (port: ToyPort, type: number) => did('port_type_set', port.index, type),
      async port_new(devlink: object, attrs: NewAttrs): Promise<number> {
        did('port_new');
        if (attrs.flavour !== DEVLINK_PORT_FLAVOUR_PCI_SF) throw refuse('EOPNOTSUPP', 'port_new', 'Driver supports only SF port addition');
        if (attrs.sfnum === null) throw refuse('EOPNOTSUPP', 'port_new', 'User must provide unique sfnum');
        if (modes.mode !== DEVLINK_ESWITCH_MODE_SWITCHDEV) throw refuse('EOPNOTSUPP', 'port_new', 'Port add is only supported in eswitch switchdev mode');
        const index = attrs.port_index ?? FIRST_SF_PORT + attrs.sfnum;
        const pci_sf = { controller: attrs.controller ?? 0, pf: attrs.pfnum, external: false, sf: attrs.sfnum };
        const own: ToyFunction = { hw_addr: new Uint8Array(6), state: DEVLINK_PORT_FN_STATE_INACTIVE };
        ports.set(index, await k.devl_port_register(devlink, { attrs: { flavour: DEVLINK_PORT_FLAVOUR_PCI_SF, pci_sf }, priv: own }, index));
        return index;
      },
      async port_del(_: object, index: number): Promise<void> {
        did('port_del', index);
        const port = ports.get(index);
        if (port === undefined) throw refuse('ENODEV', 'port_del', 'Fail to find a port');
        await k.devl_port_unregister(port);
        ports.delete(index);
      },
      port_function_hw_addr_get: async (port: ToyPort) => fn(port).hw_addr,
      port_function_hw_addr_set: async (port: ToyPort, addr: Uint8Array) => {
        did('hw_addr_set', port.index, Buffer.from(addr).toString('hex'));
        fn(port).hw_addr = addr;
      },
      port_fn_state_get: async (port: ToyPort) => {
        const { state } = fn(port);
        return { state, opstate: state === DEVLINK_PORT_FN_STATE_ACTIVE ? DEVLINK_PORT_FN_OPSTATE_ATTACHED : DEVLINK_PORT_FN_OPSTATE_DETACHED };
      },
      port_fn_state_set: async (port: ToyPort, state: number) => {
        did('state_set', port.index, state);
        fn(port).state = state;
      },
    };
  }

  function toyModule(): Loadable {
    return {
      name: TOY_DEVLINK, license: 'GPL', description: undefined, author: undefined, version: undefined, builtin: false, alias: [], softdep: [],
      params: {}, weakImports: [], importNs: [], exports: [], exportsGpl: [], exportsNs: {},
      imports: [
        'bus_register', 'bus_unregister', 'device_initialize', 'device_add', 'device_unregister', 'put_device', 'devlink_alloc_ns', 'devlink_free',
        'devlink_register', 'devlink_unregister', 'devlink_set_features', 'devlink_port_register', 'devlink_port_unregister',
        'devl_port_register', 'devl_port_unregister', 'devlink_params_register', 'devlink_params_unregister',
        'devlink_param_driverinit_value_set', 'devlink_param_driverinit_value_get', 'devlink_info_driver_name_put',
        'devlink_info_serial_number_put', 'devlink_info_board_serial_number_put', 'devlink_info_version_fixed_put',
        'devlink_info_version_running_put', 'devlink_info_version_stored_put',
        ...(netdev ? ['devlink_port_type_eth_set', 'devlink_port_type_clear', 'alloc_etherdev', 'free_netdev', 'register_netdev', 'unregister_netdev'] : []),
      ],
      async module_init(k: ToyKernel, { undo }: ThisModule): Promise<object> {
        const bus = { name: 'toy' };
        await k.bus_register(bus);
        undo.push('bus toy', () => k.bus_unregister(bus));
        for (const [name, ops, own] of [['toy0', toyOps(k), params], ['toy1', {}, []]] as const) {
          const dev = k.device_initialize({ name, bus });
          try {
            await k.device_add(dev);
          } catch (error) {
            k.put_device(dev);
            throw error;
          }
          undo.push(name, () => k.device_unregister(dev));
          const devlink = k.devlink_alloc_ns(ops, null, dev);
          undo.push('instance', () => k.devlink_free(devlink));
          await k.devlink_params_register(devlink, own);
          undo.push('parameters', () => k.devlink_params_unregister(devlink, own));
          if (name === 'toy0') await prepare(k, devlink, undo);
          await k.devlink_register(devlink);
          undo.push('registration', () => k.devlink_unregister(devlink));
        }
        return { ksymtab: {} };
      },
    };
  }

  async function prepare(k: ToyKernel, devlink: object, undo: ThisModule['undo']): Promise<void> {
    for (const [name, value] of [['enable_eth', true], ['enable_rdma', false], ['enable_vnet', false], ['max_macs', 64]] as const) {
      await k.devlink_param_driverinit_value_set(devlink, name, value);
    }
    k.devlink_set_features(devlink, { reload: true });
    const there = { controller: 0, external: false };
    const ports = [
      { flavour: DEVLINK_PORT_FLAVOUR_PHYSICAL, phys: { port_number: 0 } },
      { flavour: DEVLINK_PORT_FLAVOUR_VIRTUAL },
      { flavour: DEVLINK_PORT_FLAVOUR_PCI_PF, pci_pf: { ...there, pf: 0 } },
      { flavour: DEVLINK_PORT_FLAVOUR_PCI_VF, pci_vf: { controller: 1, external: true, pf: 0, vf: 3 } },
    ];
    for (const [index, attrs] of ports.entries()) {
      const port = await k.devlink_port_register(devlink, { attrs, priv: null }, index);
      undo.push(`port ${index}`, () => k.devlink_port_unregister(port));
      if (netdev && index === 0) await giveInterface(k, port, undo);
    }
  }

  async function giveInterface(k: ToyKernel, port: ToyPort, undo: ThisModule['undo']): Promise<void> {
    const none = async (): Promise<void> => undefined;
    const dev = k.alloc_etherdev('eth%d', { ndo_open: none, ndo_stop: none, ndo_start_xmit: () => 'NETDEV_TX_BUSY' }, null, null);
    undo.push('interface', () => k.free_netdev(dev));
    await k.register_netdev(dev);
    undo.push('interface', () => k.unregister_netdev(dev));
    await k.devlink_port_type_eth_set(port, dev);
    undo.push('port type', () => k.devlink_port_type_clear(port));
  }

  return toy;
}

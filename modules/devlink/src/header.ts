/**
 * Devlink: what a driver's device is, its ports, its parameters, and its reload.
 *
 * Mirrors `include/net/devlink.h` (Linux 6.1). A refusal's extended acknowledgement is the `extack` of its KernelError.
 */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { NetDevice } from '@vdpalab/netdev';
import type {
  DEVLINK_PORT_FLAVOUR_PCI_PF, DEVLINK_PORT_FLAVOUR_PCI_SF, DEVLINK_PORT_FLAVOUR_PCI_VF, DEVLINK_PORT_FLAVOUR_PHYSICAL,
  DEVLINK_PORT_FLAVOUR_VIRTUAL,
} from '@vdpalab/uapi';

/** `struct devlink`: one instance, of one device. */
export interface Devlink {
  /** `devlink_to_dev` */
  readonly dev: Device;
  /** `devlink_priv`: the driver's own. */
  readonly priv: unknown;
}

/** A function behind a port, as its port names it. */
export interface PciFunctionAttrs {
  /** 0 for the host's own. */
  readonly controller: number;
  readonly pf: number;
  /** Whether the function is in another host. */
  readonly external: boolean;
}

/** `struct devlink_port_attrs` */
export type DevlinkPortAttrs =
  | { readonly flavour: typeof DEVLINK_PORT_FLAVOUR_PHYSICAL; readonly phys: { readonly port_number: number } }
  | { readonly flavour: typeof DEVLINK_PORT_FLAVOUR_VIRTUAL }
  | { readonly flavour: typeof DEVLINK_PORT_FLAVOUR_PCI_PF; readonly pci_pf: PciFunctionAttrs }
  | { readonly flavour: typeof DEVLINK_PORT_FLAVOUR_PCI_VF; readonly pci_vf: PciFunctionAttrs & { readonly vf: number } }
  | { readonly flavour: typeof DEVLINK_PORT_FLAVOUR_PCI_SF; readonly pci_sf: PciFunctionAttrs & { readonly sf: number } };

/** `struct devlink_port` */
export interface DevlinkPort {
  readonly devlink: Devlink;
  readonly index: number;
  readonly attrs: DevlinkPortAttrs;
  /** The driver's own. */
  readonly priv: unknown;
}

/** What a driver gives to make a port. */
export interface DevlinkPortInit {
  readonly attrs: DevlinkPortAttrs;
  readonly priv: unknown;
}

/** `struct devlink_port_new_attrs`; `null`: not said. */
export interface DevlinkPortNewAttrs {
  /** DEVLINK_PORT_FLAVOUR_* */
  readonly flavour: number;
  readonly pfnum: number;
  readonly port_index: number | null;
  readonly controller: number | null;
  readonly sfnum: number | null;
}

/** `struct devlink_info_req`: the versions and names of a device, being written. */
export interface DevlinkInfoReq {
  readonly devlink: Devlink;
}

/** `enum devlink_param_type` */
export type DevlinkParamType = 'u8' | 'u16' | 'u32' | 'string' | 'bool';

/** `union devlink_param_value` */
export type DevlinkParamValue = number | string | boolean;

/** A parameter: `struct devlink_param`. Its name is its id. */
export interface DevlinkParam {
  readonly name: string;
  /** Whether it is one of those that mean the same for all drivers, {@link DevlinkGenericParam}. */
  readonly generic: boolean;
  readonly type: DevlinkParamType;
  /** Bits by DEVLINK_PARAM_CMODE_*. */
  readonly supported_cmodes: number;
  /** For all modes but driverinit, whose value devlink keeps. */
  readonly get?: (devlink: Devlink, cmode: number) => Promise<DevlinkParamValue>;
  readonly set?: (devlink: Devlink, value: DevlinkParamValue, cmode: number) => Promise<void>;
  /** @throws KernelError for a value it cannot have */
  readonly validate?: (devlink: Devlink, value: DevlinkParamValue) => Promise<void>;
}

/** `enum devlink_param_generic_id`, by name. */
export type DevlinkGenericParam =
  | 'internal_error_reset' | 'max_macs' | 'enable_sriov' | 'region_snapshot_enable' | 'ignore_ari' | 'msix_vec_per_pf_max'
  | 'msix_vec_per_pf_min' | 'fw_load_policy' | 'reset_dev_on_drv_probe' | 'enable_roce' | 'enable_remote_dev_reset' | 'enable_eth'
  | 'enable_rdma' | 'enable_vnet' | 'enable_iwarp' | 'io_eq_size' | 'event_eq_size';

/** `struct devlink_ops`: what a driver answers; the instance's lock is held, what is absent is EOPNOTSUPP. */
export interface DevlinkOps {
  /** Bits by DEVLINK_RELOAD_ACTION_*. */
  readonly reload_actions?: number;
  /** Bits by DEVLINK_RELOAD_LIMIT_*. */
  readonly reload_limits?: number;
  /** @param netns_change whether the instance moves to another network namespace */
  readonly reload_down?: (devlink: Devlink, netns_change: boolean, action: number, limit: number) => Promise<void>;
  /** @returns the actions performed, bits by DEVLINK_RELOAD_ACTION_* */
  readonly reload_up?: (devlink: Devlink, action: number, limit: number) => Promise<number>;
  /** @returns DEVLINK_ESWITCH_MODE_* */
  readonly eswitch_mode_get?: (devlink: Devlink) => Promise<number>;
  readonly eswitch_mode_set?: (devlink: Devlink, mode: number) => Promise<void>;
  /** @returns DEVLINK_ESWITCH_INLINE_MODE_* */
  readonly eswitch_inline_mode_get?: (devlink: Devlink) => Promise<number>;
  readonly eswitch_inline_mode_set?: (devlink: Devlink, inline_mode: number) => Promise<void>;
  /** @returns DEVLINK_ESWITCH_ENCAP_MODE_* */
  readonly eswitch_encap_mode_get?: (devlink: Devlink) => Promise<number>;
  readonly eswitch_encap_mode_set?: (devlink: Devlink, encap_mode: number) => Promise<void>;
  /** Say who and what it is, by `devlink_info_*_put`. */
  readonly info_get?: (devlink: Devlink, req: DevlinkInfoReq) => Promise<void>;
  /** @param type DEVLINK_PORT_TYPE_* */
  readonly port_type_set?: (port: DevlinkPort, type: number) => Promise<void>;
  /** @returns its index: by then it is registered */
  readonly port_new?: (devlink: Devlink, attrs: DevlinkPortNewAttrs) => Promise<number>;
  readonly port_del?: (devlink: Devlink, port_index: number) => Promise<void>;
  /** @throws EOPNOTSUPP when this port has none: it is then left out */
  readonly port_function_hw_addr_get?: (port: DevlinkPort) => Promise<Uint8Array>;
  readonly port_function_hw_addr_set?: (port: DevlinkPort, hw_addr: Uint8Array) => Promise<void>;
  /** @returns DEVLINK_PORT_FN_STATE_*, DEVLINK_PORT_FN_OPSTATE_*. @throws EOPNOTSUPP when this port has none: it is then left out */
  readonly port_fn_state_get?: (port: DevlinkPort) => Promise<{ readonly state: number; readonly opstate: number }>;
  readonly port_fn_state_set?: (port: DevlinkPort, state: number) => Promise<void>;
}

export interface DevlinkSymbols {
  /** An instance that nobody sees yet. @throws EINVAL for reload ops that are not a pair with actions */
  devlink_alloc_ns: (ops: DevlinkOps, priv: unknown, dev: Device) => Devlink;
  /** Show it: the last step of a probe. */
  devlink_register: (devlink: Devlink) => Promise<void>;
  /** Hide it: the first step of a remove. Waits for requests that run. */
  devlink_unregister: (devlink: Devlink) => Promise<void>;
  /** @throws Error (a lab bug) when it is registered, or has ports or parameters */
  devlink_free: (devlink: Devlink) => Atomic;
  /** `DEVLINK_F_RELOAD`: requests to reload are let through. Before registration only. */
  devlink_set_features: (devlink: Devlink, features: { readonly reload: boolean }) => Atomic;
  devl_lock: (devlink: Devlink) => Promise<void>;
  devl_unlock: (devlink: Devlink) => Atomic;
  /** @throws Error (a lab bug) unless the running task holds the lock */
  devl_assert_locked: (devlink: Devlink) => Atomic;

  /** The lock is held. @throws EEXIST when the index is taken */
  devl_port_register: (devlink: Devlink, port: DevlinkPortInit, port_index: number) => Promise<DevlinkPort>;
  /** The lock is held. */
  devl_port_unregister: (port: DevlinkPort) => Promise<void>;
  /** As `devl_port_register`, and takes the lock. */
  devlink_port_register: (devlink: Devlink, port: DevlinkPortInit, port_index: number) => Promise<DevlinkPort>;
  /** As `devl_port_unregister`, and takes the lock. */
  devlink_port_unregister: (port: DevlinkPort) => Promise<void>;
  /** The port is this interface's. */
  devlink_port_type_eth_set: (port: DevlinkPort, netdev: NetDevice) => Promise<void>;
  devlink_port_type_clear: (port: DevlinkPort) => Promise<void>;

  /** Before registration. @throws EEXIST EINVAL; none is left behind */
  devlink_params_register: (devlink: Devlink, params: readonly DevlinkParam[]) => Promise<void>;
  devlink_params_unregister: (devlink: Devlink, params: readonly DevlinkParam[]) => Promise<void>;
  devlink_param_register: (devlink: Devlink, param: DevlinkParam) => Promise<void>;
  devlink_param_unregister: (devlink: Devlink, param: DevlinkParam) => Promise<void>;
  /** What the next `reload_up` goes by. @throws EOPNOTSUPP when it cannot be reloaded or was never set; EINVAL for an unknown one */
  devlink_param_driverinit_value_get: (devlink: Devlink, name: string) => DevlinkParamValue;
  /** The value it starts with, before registration. @throws EINVAL for an unknown one; EOPNOTSUPP when it has no such mode */
  devlink_param_driverinit_value_set: (devlink: Devlink, name: string, value: DevlinkParamValue) => Promise<void>;
  /** Tell listeners that the driver changed it. */
  devlink_param_value_changed: (devlink: Devlink, name: string) => Promise<void>;

  devlink_info_driver_name_put: (req: DevlinkInfoReq, name: string) => Atomic;
  devlink_info_serial_number_put: (req: DevlinkInfoReq, sn: string) => Atomic;
  devlink_info_board_serial_number_put: (req: DevlinkInfoReq, bsn: string) => Atomic;
  devlink_info_version_fixed_put: (req: DevlinkInfoReq, name: string, value: string) => Atomic;
  devlink_info_version_stored_put: (req: DevlinkInfoReq, name: string, value: string) => Atomic;
  devlink_info_version_running_put: (req: DevlinkInfoReq, name: string, value: string) => Atomic;

  /** Instances, ports and parameters that are there, for leak reports. */
  devlink_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends DevlinkSymbols {}
}

/** What the devlink tool of iproute2 6.1 prints of each message. */
import type { GenlMessage } from '@vdpalab/user';
import * as uapi from '@vdpalab/uapi';
import { CMODES } from './devlink-arguments.ts';
import type { DevlinkPrinter } from './devlink-print.ts';

type Attrs = ReadonlyMap<number, Uint8Array>;

const number = (bytes: Uint8Array): number => bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
const string = (bytes: Uint8Array): string => uapi.utf8Decode(bytes).replace(/\0+$/, '');
/** The attributes of a nest, by type. */
const nested = (bytes: Uint8Array): Attrs => new Map(uapi.nlaList(bytes).attrs.map((attr) => [attr.type, attr.payload]));
const list = (bytes: Uint8Array): readonly Attrs[] => uapi.nlaList(bytes).attrs.map((attr) => nested(attr.payload));
const optional = (m: GenlMessage, type: number): Uint8Array | null => (m.has(type) ? m.bytes(type) : null);

const named = (names: readonly string[], what: string) => (n: number): string => names[n] ?? `<unknown ${what}>`;
const cmodeName = named(Object.keys(CMODES), 'type');
const portType = named(['notset', 'auto', 'eth', 'ib'], 'type');
const flavour = named(['physical', 'cpu', 'dsa', 'pcipf', 'pcivf', 'virtual', '<unknown flavour>', 'pcisf'], 'flavour');
const state = named(['inactive', 'active'], 'state');
const opstate = named(['detached', 'attached'], 'state');
const eswitchMode = named(['legacy', 'switchdev'], 'mode');
const inlineMode = named(['none', 'link', 'network', 'transport'], 'mode');
const encapMode = named(['none', 'basic'], 'mode');
const actionName = (n: number): string => ['', 'driver_reinit', 'fw_activate'][n] ?? '<unknown reload action>';
const limitName = named(['unspecified', 'no_reset'], 'reload action');

/** Values of parameters that have names. */
export const VALUE_NAMES: Readonly<Record<string, readonly string[]>> = {
  fw_load_policy: ['driver', 'flash', 'disk', 'unknown'],
  reset_dev_on_drv_probe: ['unknown', 'always', 'never', 'disk'],
};

export function handleOf(m: GenlMessage): string {
  return `${m.string(uapi.DEVLINK_ATTR_BUS_NAME)}/${m.string(uapi.DEVLINK_ATTR_DEV_NAME)}`;
}

/** An instance: its handle, and more only where a reload failed or statistics are wanted. */
export function printDevice(p: DevlinkPrinter, m: GenlMessage, stats: boolean): void {
  const failed = m.has(uapi.DEVLINK_ATTR_RELOAD_FAILED) && m.number(uapi.DEVLINK_ATTR_RELOAD_FAILED) !== 0;
  const counters = stats ? optional(m, uapi.DEVLINK_ATTR_DEV_STATS) : null;
  p.entry(handleOf(m), !failed && counters === null ? null : () => {
    if (failed) p.separated('reload_failed', true);
    if (counters !== null) p.group('stats', () => printReloads(p, nested(counters)));
  });
}

function printReloads(p: DevlinkPrinter, counters: Attrs): void {
  for (const [name, type] of [['reload', uapi.DEVLINK_ATTR_RELOAD_STATS], ['remote_reload', uapi.DEVLINK_ATTR_REMOTE_RELOAD_STATS]] as const) {
    const table = counters.get(type);
    if (table === undefined) continue;
    p.group(name, () => {
      for (const info of list(table)) {
        p.group(actionName(number(info.get(uapi.DEVLINK_ATTR_RELOAD_ACTION) ?? new Uint8Array(1))), () => {
          for (const entry of list(info.get(uapi.DEVLINK_ATTR_RELOAD_ACTION_STATS) ?? new Uint8Array(0))) {
            const [limit, value] = [entry.get(uapi.DEVLINK_ATTR_RELOAD_STATS_LIMIT), entry.get(uapi.DEVLINK_ATTR_RELOAD_STATS_VALUE)];
            if (limit !== undefined && value !== undefined) p.separated(limitName(number(limit)), number(value));
          }
        });
      }
    });
  }
}

/** An instance's eswitch. */
export function printEswitch(p: DevlinkPrinter, m: GenlMessage): void {
  p.entry(handleOf(m), () => {
    if (m.has(uapi.DEVLINK_ATTR_ESWITCH_MODE)) p.separated('mode', eswitchMode(m.number(uapi.DEVLINK_ATTR_ESWITCH_MODE)));
    if (m.has(uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE)) p.separated('inline-mode', inlineMode(m.number(uapi.DEVLINK_ATTR_ESWITCH_INLINE_MODE)));
    if (m.has(uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE)) p.separated('encap-mode', encapMode(m.number(uapi.DEVLINK_ATTR_ESWITCH_ENCAP_MODE)));
  });
}

/** What a reload did. */
export function printPerformed(p: DevlinkPrinter, m: GenlMessage): void {
  const { value, selector } = uapi.nla_bitfield32.decode(m.bytes(uapi.DEVLINK_ATTR_RELOAD_ACTIONS_PERFORMED));
  p.noNewline();
  p.array('reload_actions_performed', () => {
    for (let action = 0; action <= uapi.DEVLINK_RELOAD_ACTION_MAX; action++) {
      if ((value & selector & (1 << action)) === 0) continue;
      p.separate();
      p.text(actionName(action));
      p.json?.value(actionName(action));
    }
  });
  p.newline();
}

/** Names and versions. */
export function printInfo(p: DevlinkPrinter, m: GenlMessage): void {
  const names = [
    ['driver', uapi.DEVLINK_ATTR_INFO_DRIVER_NAME], ['serial_number', uapi.DEVLINK_ATTR_INFO_SERIAL_NUMBER],
    ['board.serial_number', uapi.DEVLINK_ATTR_INFO_BOARD_SERIAL_NUMBER],
  ] as const;
  const kinds = [
    ['fixed', uapi.DEVLINK_ATTR_INFO_VERSION_FIXED], ['running', uapi.DEVLINK_ATTR_INFO_VERSION_RUNNING], ['stored', uapi.DEVLINK_ATTR_INFO_VERSION_STORED],
  ] as const;
  const hasVersions = kinds.some(([, type]) => m.has(type));
  if (!hasVersions && !names.some(([, type]) => m.has(type))) return;
  p.entry(handleOf(m), () => {
    p.indented(() => {
      for (const [key, type] of names) {
        if (!m.has(type)) continue;
        p.newline();
        p.separated(key, m.string(type));
      }
    });
    if (hasVersions) p.group('versions', () => kinds.forEach(([kind, type]) => printVersions(p, m, kind, type)));
  });
}

function printVersions(p: DevlinkPrinter, m: GenlMessage, kind: string, type: number): void {
  const versions = m.attrs.filter((attr) => attr.type === type).map((attr) => nested(attr.payload));
  if (versions.length === 0) return;
  p.group(kind, () => {
    for (const version of versions) {
      const [name, value] = [version.get(uapi.DEVLINK_ATTR_INFO_VERSION_NAME), version.get(uapi.DEVLINK_ATTR_INFO_VERSION_VALUE)];
      if (name === undefined || value === undefined) continue;
      p.separated(string(name), string(value));
      p.newline();
    }
  });
}

/** A value of a parameter, in one mode. */
export interface ParamValue {
  readonly cmode: number;
  /** Bytes; none of a flag that is off. */
  readonly data: Uint8Array | null;
}

/** A parameter as the kernel tells it. */
export interface Param {
  readonly name: string;
  readonly generic: boolean;
  /** MNL_TYPE_* */
  readonly type: number;
  readonly values: readonly ParamValue[];
}

/** `MNL_TYPE_*`: what a parameter's value is. */
export const MNL_TYPE = { u8: 1, u16: 2, u32: 3, string: 5, flag: 6 } as const;

export function paramOf(m: GenlMessage): Param {
  const param = nested(m.bytes(uapi.DEVLINK_ATTR_PARAM));
  const bytes = (type: number): Uint8Array => param.get(type) ?? new Uint8Array(0);
  return {
    name: string(bytes(uapi.DEVLINK_ATTR_PARAM_NAME)),
    generic: param.has(uapi.DEVLINK_ATTR_PARAM_GENERIC),
    type: number(bytes(uapi.DEVLINK_ATTR_PARAM_TYPE)),
    values: list(bytes(uapi.DEVLINK_ATTR_PARAM_VALUES_LIST)).map((value) => ({
      cmode: number(value.get(uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE) ?? new Uint8Array(0)), data: value.get(uapi.DEVLINK_ATTR_PARAM_VALUE_DATA) ?? null,
    })),
  };
}

/** What a value is, as the tool shows it; `null` for one without a name where values have names. */
export function shownValue({ name, type }: Param, data: Uint8Array | null): string | number | boolean | null {
  if (type === MNL_TYPE.flag) return data !== null;
  if (data === null) return null;
  if (type === MNL_TYPE.string) return string(data);
  const names = VALUE_NAMES[name];
  return names === undefined ? number(data) : names[number(data)] ?? null;
}

/** A parameter, under its instance. */
export function printParam(p: DevlinkPrinter, m: GenlMessage): void {
  const param = paramOf(m);
  p.listed(handleOf(m), () => {
    p.separate();
    p.field('name', param.name, `name ${param.name} `);
    const kind = param.generic ? 'generic' : 'driver-specific';
    p.field('type', kind, `type ${kind}`);
    p.array('values', () => {
      for (const { cmode, data } of param.values) {
        p.item(() => {
          p.separated('cmode', cmodeName(cmode));
          const value = shownValue(param, data);
          if (value !== null) p.field('value', value, ` value ${value}`);
        });
      }
    });
  });
}

/** A port. */
export function printPort(p: DevlinkPrinter, m: GenlMessage): void {
  p.entry(`${handleOf(m)}/${m.number(uapi.DEVLINK_ATTR_PORT_INDEX) | 0}`, () => {
    const type = m.number(uapi.DEVLINK_ATTR_PORT_TYPE);
    p.separated('type', portType(type));
    const field = (key: string, value: string | number | boolean): void => p.field(key, value, ` ${key} ${value}`);
    const wanted = m.has(uapi.DEVLINK_ATTR_PORT_DESIRED_TYPE) ? m.number(uapi.DEVLINK_ATTR_PORT_DESIRED_TYPE) : type;
    if (wanted !== type) field('des_type', portType(wanted));
    if (m.has(uapi.DEVLINK_ATTR_PORT_NETDEV_NAME)) field('netdev', m.string(uapi.DEVLINK_ATTR_PORT_NETDEV_NAME));
    if (m.has(uapi.DEVLINK_ATTR_PORT_FLAVOUR)) field('flavour', flavour(m.number(uapi.DEVLINK_ATTR_PORT_FLAVOUR)));
    const numbers = [
      ['controller', uapi.DEVLINK_ATTR_PORT_CONTROLLER_NUMBER], ['pfnum', uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER],
      ['vfnum', uapi.DEVLINK_ATTR_PORT_PCI_VF_NUMBER], ['sfnum', uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER],
    ] as const;
    for (const [key, attr] of numbers) if (m.has(attr)) field(key, m.number(attr));
    if (m.has(uapi.DEVLINK_ATTR_PORT_EXTERNAL)) field('external', m.number(uapi.DEVLINK_ATTR_PORT_EXTERNAL) !== 0);
    if (m.has(uapi.DEVLINK_ATTR_PORT_NUMBER)) field('port', m.number(uapi.DEVLINK_ATTR_PORT_NUMBER));
    if (m.has(uapi.DEVLINK_ATTR_PORT_SPLITTABLE)) field('splittable', m.number(uapi.DEVLINK_ATTR_PORT_SPLITTABLE) !== 0);
    const fn = optional(m, uapi.DEVLINK_ATTR_PORT_FUNCTION);
    if (fn !== null) printFunction(p, nested(fn));
  });
}

function printFunction(p: DevlinkPrinter, fn: Attrs): void {
  p.group('function', () => {
    p.separate();
    const addr = fn.get(uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR);
    if (addr !== undefined) {
      const text = [...addr].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
      p.field('hw_addr', text, `hw_addr ${text}`);
    }
    const states = [['state', uapi.DEVLINK_PORT_FN_ATTR_STATE, state], ['opstate', uapi.DEVLINK_PORT_FN_ATTR_OPSTATE, opstate]] as const;
    for (const [key, attr, name] of states) {
      const bytes = fn.get(attr);
      if (bytes !== undefined) p.field(key, name(number(bytes)), ` ${key} ${name(number(bytes))}`);
    }
  });
}

/** What the `devlink` tool asks, as calls of a process: about one instance, and its answers read. */
import * as uapi from '@vdpalab/uapi';
import { GenlTool, type Attrs, type ToolAnswer, type ToolCalls } from '../netlink/genl-tool.ts';

type Fill = (b: uapi.NlaBuilder) => void;

/** A parameter as the kernel shows it. */
export interface ShownParam {
  readonly name: string;
  readonly generic: boolean;
  readonly type: number;
  /** Bytes by mode; a flag's are none, an unset flag has no entry's bytes either: `null`. */
  readonly values: ReadonlyMap<number, Uint8Array | null>;
}

/** A port as the kernel shows it. */
export interface ShownPort {
  readonly index: number;
  readonly type: number;
  readonly flavour: number;
  readonly sfnum: number | null;
  readonly netdev: string | null;
  readonly hw_addr: string | null;
  readonly state: number | null;
  readonly opstate: number | null;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).replace(/\0+$/, '');
const number = (bytes: Uint8Array): number => bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
const nested = (bytes: Uint8Array): Attrs => new Map(uapi.nlaList(bytes).attrs.map((attr) => [attr.type, attr.payload]));
const of = <T>(attrs: Attrs, type: number, read: (bytes: Uint8Array) => T): T | null => {
  const bytes = attrs.get(type);
  return bytes === undefined ? null : read(bytes);
};

/** A socket of the family, and the instance it asks about. */
export class DevlinkTool<P> {
  readonly #socket: GenlTool<P>;
  readonly #handle: string;

  private constructor(socket: GenlTool<P>, handle: string) {
    this.#socket = socket;
    this.#handle = handle;
  }

  /** @param handle `BUS/NAME` */
  static async open<P>(k: ToolCalls<P>, proc: P, handle: string): Promise<DevlinkTool<P>> {
    return new DevlinkTool(await GenlTool.connect(k, proc, uapi.DEVLINK_GENL_NAME), handle);
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  /** One request about the instance. */
  request(cmd: number, fill: Fill = () => undefined): Promise<ToolAnswer> {
    const [bus = '', name = ''] = this.#handle.split('/');
    return this.#socket.request(cmd, (b) => {
      b.putString(uapi.DEVLINK_ATTR_BUS_NAME, bus);
      b.putString(uapi.DEVLINK_ATTR_DEV_NAME, name);
      fill(b);
    });
  }

  /** What a request came to, without its messages. */
  async result(cmd: number, fill?: Fill): Promise<string> {
    return (await this.request(cmd, fill)).result;
  }

  /** Messages of a listing that are about the instance. */
  async dump(cmd: number): Promise<readonly Attrs[]> {
    return (await this.#socket.dump(cmd)).messages.filter((m) => handleOf(m) === this.#handle);
  }

  async ports(): Promise<ShownPort[]> {
    return (await this.dump(uapi.DEVLINK_CMD_PORT_GET)).map(portOf);
  }

  async params(): Promise<ShownParam[]> {
    return (await this.dump(uapi.DEVLINK_CMD_PARAM_GET)).map(paramOf);
  }

  /** DEVLINK_ESWITCH_MODE_*, or what the request came to. */
  async eswitchMode(): Promise<number | string> {
    const { result, messages } = await this.request(uapi.DEVLINK_CMD_ESWITCH_GET);
    return messages[0] === undefined ? result : of(messages[0], uapi.DEVLINK_ATTR_ESWITCH_MODE, number) ?? 'no mode';
  }

  setEswitchMode(mode: number): Promise<string> {
    return this.result(uapi.DEVLINK_CMD_ESWITCH_SET, (b) => b.putU16(uapi.DEVLINK_ATTR_ESWITCH_MODE, mode));
  }

  /** A driverinit parameter that is a flag. */
  setFlag(name: string, on: boolean): Promise<string> {
    return this.result(uapi.DEVLINK_CMD_PARAM_SET, (b) => {
      b.putString(uapi.DEVLINK_ATTR_PARAM_NAME, name);
      b.putU8(uapi.DEVLINK_ATTR_PARAM_TYPE, 6);
      b.putU8(uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE, uapi.DEVLINK_PARAM_CMODE_DRIVERINIT);
      if (on) b.putFlag(uapi.DEVLINK_ATTR_PARAM_VALUE_DATA);
    });
  }

  reload(): Promise<string> {
    return this.result(uapi.DEVLINK_CMD_RELOAD);
  }

  /** `port add ... flavour pcisf`. @returns its index, or what the request came to */
  async addSf(pfnum: number, sfnum: number, more: Fill = () => undefined): Promise<number | string> {
    const { result, messages } = await this.request(uapi.DEVLINK_CMD_PORT_NEW, (b) => {
      b.putU16(uapi.DEVLINK_ATTR_PORT_FLAVOUR, uapi.DEVLINK_PORT_FLAVOUR_PCI_SF);
      b.putU16(uapi.DEVLINK_ATTR_PORT_PCI_PF_NUMBER, pfnum);
      b.putU32(uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER, sfnum);
      more(b);
    });
    return messages[0] === undefined ? result : portOf(messages[0]).index;
  }

  delPort(index: number): Promise<string> {
    return this.result(uapi.DEVLINK_CMD_PORT_DEL, (b) => b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, index));
  }

  /** `port function set` */
  setFunction(index: number, { hw_addr, state }: { readonly hw_addr?: Uint8Array; readonly state?: number }): Promise<string> {
    return this.result(uapi.DEVLINK_CMD_PORT_SET, (b) => {
      b.putU32(uapi.DEVLINK_ATTR_PORT_INDEX, index);
      const nest = b.nestStart(uapi.DEVLINK_ATTR_PORT_FUNCTION | uapi.NLA_F_NESTED);
      if (hw_addr !== undefined) b.put(uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR, hw_addr);
      if (state !== undefined) b.putU8(uapi.DEVLINK_PORT_FN_ATTR_STATE, state);
      b.nestEnd(nest);
    });
  }
}

function handleOf(m: Attrs): string {
  return [uapi.DEVLINK_ATTR_BUS_NAME, uapi.DEVLINK_ATTR_DEV_NAME].map((type) => of(m, type, text)).join('/');
}

function portOf(m: Attrs): ShownPort {
  const fn = of(m, uapi.DEVLINK_ATTR_PORT_FUNCTION, nested) ?? new Map<number, Uint8Array>();
  return {
    index: of(m, uapi.DEVLINK_ATTR_PORT_INDEX, number) ?? -1,
    type: of(m, uapi.DEVLINK_ATTR_PORT_TYPE, number) ?? -1,
    flavour: of(m, uapi.DEVLINK_ATTR_PORT_FLAVOUR, number) ?? -1,
    sfnum: of(m, uapi.DEVLINK_ATTR_PORT_PCI_SF_NUMBER, number),
    netdev: of(m, uapi.DEVLINK_ATTR_PORT_NETDEV_NAME, text),
    hw_addr: of(fn, uapi.DEVLINK_PORT_FUNCTION_ATTR_HW_ADDR, (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(':')),
    state: of(fn, uapi.DEVLINK_PORT_FN_ATTR_STATE, number),
    opstate: of(fn, uapi.DEVLINK_PORT_FN_ATTR_OPSTATE, number),
  };
}

function paramOf(m: Attrs): ShownParam {
  const param = of(m, uapi.DEVLINK_ATTR_PARAM, nested) ?? new Map<number, Uint8Array>();
  const values = uapi.nlaList(param.get(uapi.DEVLINK_ATTR_PARAM_VALUES_LIST) ?? new Uint8Array(0)).attrs.map((attr) => nested(attr.payload));
  return {
    name: of(param, uapi.DEVLINK_ATTR_PARAM_NAME, text) ?? '',
    generic: param.has(uapi.DEVLINK_ATTR_PARAM_GENERIC),
    type: of(param, uapi.DEVLINK_ATTR_PARAM_TYPE, number) ?? -1,
    values: new Map(values.map((v) => [of(v, uapi.DEVLINK_ATTR_PARAM_VALUE_CMODE, number) ?? -1, v.get(uapi.DEVLINK_ATTR_PARAM_VALUE_DATA) ?? null])),
  };
}

/** Virtio queues of a function for the model's tests: keys, queue objects and the way of received frames to them. */
import {
  MLX5_CMD_OP_ALLOC_TRANSPORT_DOMAIN, MLX5_CMD_OP_CREATE_FLOW_GROUP, MLX5_CMD_OP_CREATE_FLOW_TABLE, MLX5_CMD_OP_CREATE_GENERAL_OBJECT,
  MLX5_CMD_OP_CREATE_MKEY, MLX5_CMD_OP_CREATE_RQT, MLX5_CMD_OP_CREATE_TIR, MLX5_CMD_OP_CREATE_TIS, MLX5_CMD_OP_MODIFY_GENERAL_OBJECT,
  MLX5_CMD_OP_QUERY_GENERAL_OBJECT, MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY, MLX5_CMD_OP_SET_FLOW_TABLE_ROOT, MLX5_FLOW_CONTEXT_ACTION_FWD_DEST,
  MLX5_FLOW_DESTINATION_TYPE_TIR, MLX5_GENERAL_OBJ_AT, MLX5_MATCH_OUTER_HEADERS, MLX5_MKC_ACCESS_MODE_KLMS, MLX5_MKC_ACCESS_MODE_MTT,
  MLX5_MKC_ACCESS_MODE_PA, MLX5_OBJ_TYPE_VIRTIO_NET_Q, MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q, MLX5_TIRC_DISP_TYPE_INDIRECT,
  MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY, MLX5_VIRTQ_MODIFY_MASK_STATE, mlx5_cmd_out, mlx5_create_flow_group_in, mlx5_create_flow_table_in,
  mlx5_create_mkey_in, mlx5_rqt_in, mlx5_create_tir_in, mlx5_create_tis_in, mlx5_dest_format, mlx5_flow_table_in, mlx5_fte_match_outer,
  mlx5_general_obj_in, mlx5_general_obj_out, mlx5_klm, mlx5_set_fte_in, mlx5_virtio_net_q, setBe32At, vring_avail_size, vring_desc_table_size,
  vring_used_size,
} from '@vdpalab/uapi';
import { SplitDriver } from '@vdpalab/vring';
import { InjectionPort } from '../net/injection.ts';
import { EthernetSwitch } from '../net/switch.ts';
import type { Answer, Bench, Driver } from './driver.fixture.ts';

const NUM = 16;
const HEADER = 12;

/** What a frame must be: all in bytes of `struct mlx5_ifc_fte_match_set_lyr_2_4_bits`. */
export type Match = Partial<Record<keyof typeof mlx5_fte_match_outer.fields, number>>;

/** Memory keys by their modes. */
export const keyInput = {
  all: (pd: number, fields: object = {}): Uint8Array =>
    mlx5_create_mkey_in.make({ opcode: MLX5_CMD_OP_CREATE_MKEY, access_mode_1_0: MLX5_MKC_ACCESS_MODE_PA, length64: 1, lr: 1, lw: 1, pd, ...fields }),
  pages(pd: number, start: number, length: number, logPage: number, pages: readonly number[], fields: object = {}): Uint8Array {
    const input = mlx5_create_mkey_in.make({
      opcode: MLX5_CMD_OP_CREATE_MKEY, access_mode_1_0: MLX5_MKC_ACCESS_MODE_MTT, lr: 1, lw: 1, pd, start_addr: BigInt(start), len: BigInt(length), log_page_size: logPage, ...fields,
    }, 8 * pages.length);
    for (const [i, page] of pages.entries()) new DataView(input.buffer).setBigUint64(mlx5_create_mkey_in.size + 8 * i, BigInt(page));
    return input;
  },
  spans(pd: number, start: number, length: number, klms: readonly { bcount: number; key: number; va?: number }[], fields: object = {}): Uint8Array {
    const input = mlx5_create_mkey_in.make({
      opcode: MLX5_CMD_OP_CREATE_MKEY, access_mode_1_0: MLX5_MKC_ACCESS_MODE_KLMS, lr: 1, lw: 1, pd, start_addr: BigInt(start), len: BigInt(length),
      translations_octword_actual_size: klms.length, ...fields,
    }, mlx5_klm.size * klms.length);
    for (const [i, { bcount, key, va = 0 }] of klms.entries()) input.set(mlx5_klm.make({ bcount, key, va: BigInt(va) }), mlx5_create_mkey_in.size + i * mlx5_klm.size);
    return input;
  },
};

/** @returns the key */
export async function createKey(driver: Driver, input: Uint8Array): Promise<number> {
  return (mlx5_cmd_out.get(await driver.run(input), 'number') << 8) | mlx5_create_mkey_in.get(input, 'mkey_7_0');
}

/** A queue of the driver's: its ring in memory. */
export interface DriverRing {
  readonly ring: SplitDriver;
  /** Bus or key addresses. */
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

/** A function with queues. */
export class VirtioNet {
  readonly driver: Driver;
  readonly bench: Bench;
  readonly outside: InjectionPort;
  pd = 0;
  td = 0;
  tis = 0;
  /** What is added to a physical address to have the queue's. */
  shift = 0;

  private constructor(driver: Driver) {
    this.driver = driver;
    this.bench = driver.bench;
    const lan = this.bench.system.networks.get('lan');
    if (!(lan instanceof EthernetSwitch)) throw new Error('lan is no switch');
    this.outside = new InjectionPort(lan.attach('outside'));
  }

  static async of(driver: Driver): Promise<VirtioNet> {
    const net = new VirtioNet(driver);
    net.pd = await driver.pd();
    net.td = await driver.head(MLX5_CMD_OP_ALLOC_TRANSPORT_DOMAIN);
    net.tis = mlx5_cmd_out.get(await driver.run(mlx5_create_tis_in.make({ opcode: MLX5_CMD_OP_CREATE_TIS, transport_domain: net.td })), 'number');
    return net;
  }

  /** A ring of 16 in RAM. */
  ring(): DriverRing {
    const [desc, avail, used] = [vring_desc_table_size(NUM), vring_avail_size(NUM), vring_used_size(NUM)].map((size) => this.bench.alloc(size)) as [number, number, number];
    const area = (pa: number) => {
      const memory = this.bench.hw.ram.find(pa, 1)!; // allocated above
      return { memory, offset: pa - memory.base };
    };
    const ring = new SplitDriver({ num: NUM, desc: area(desc), avail: area(avail), used: area(used) });
    return { ring, desc: desc + this.shift, avail: avail + this.shift, used: used + this.shift };
  }

  /** Input of CREATE_GENERAL_OBJECT for a queue. */
  queueInput(index: number, key: number, { desc, avail, used }: DriverRing, fields: object = {}): Uint8Array {
    const input = new Uint8Array(MLX5_GENERAL_OBJ_AT + mlx5_virtio_net_q.size);
    input.set(mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_CREATE_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q }));
    input.set(mlx5_virtio_net_q.make({
      queue_index: index, queue_size: NUM, desc_addr: BigInt(desc), available_addr: BigInt(avail), used_addr: BigInt(used), virtio_q_mkey: key, pd: this.pd,
      tisn_or_qpn: this.tis, virtio_version_1_0: 1, ...fields,
    }), MLX5_GENERAL_OBJ_AT);
    return input;
  }

  /** Make a queue. @returns its number */
  async create(index: number, key: number, ring: DriverRing, fields: object = {}): Promise<number> {
    return mlx5_general_obj_out.get(await this.driver.run(this.queueInput(index, key, ring, fields)), 'obj_id');
  }

  async setState(number: number, state: number): Promise<Answer> {
    const input = new Uint8Array(MLX5_GENERAL_OBJ_AT + mlx5_virtio_net_q.size);
    input.set(mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_MODIFY_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q, obj_id: number }));
    input.set(mlx5_virtio_net_q.make({ modify_field_select: MLX5_VIRTQ_MODIFY_MASK_STATE, state }), MLX5_GENERAL_OBJ_AT);
    return await this.driver.exec(input);
  }

  /** Make a queue and set it going. @returns its number */
  async ready(index: number, key: number, ring: DriverRing, fields: object = {}): Promise<number> {
    const number = await this.create(index, key, ring, fields);
    await this.setState(number, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY);
    return number;
  }

  async query(number: number): Promise<{ state: number; avail: number; used: number }> {
    const head = mlx5_general_obj_in.make({ opcode: MLX5_CMD_OP_QUERY_GENERAL_OBJECT, obj_type: MLX5_OBJ_TYPE_VIRTIO_NET_Q, obj_id: number });
    const out = await this.driver.run(head, MLX5_GENERAL_OBJ_AT + mlx5_virtio_net_q.size);
    const get = (field: 'state' | 'hw_available_index' | 'hw_used_index') => mlx5_virtio_net_q.get(out, field, MLX5_GENERAL_OBJ_AT);
    return { state: get('state'), avail: get('hw_available_index'), used: get('hw_used_index') };
  }

  /** A receive resource over queues. @returns its number, and its table's */
  async receiver(...queues: readonly number[]): Promise<{ tir: number; rqt: number }> {
    const rqtIn = mlx5_rqt_in.make({
      opcode: MLX5_CMD_OP_CREATE_RQT, list_q_type: MLX5_RQTC_LIST_Q_TYPE_VIRTIO_NET_Q, rqt_max_size: 4, rqt_actual_size: queues.length,
    }, 4 * queues.length);
    for (const [i, number] of queues.entries()) setBe32At(rqtIn, mlx5_rqt_in.size + 4 * i, number);
    const rqt = mlx5_cmd_out.get(await this.driver.run(rqtIn), 'number');
    const tirIn = mlx5_create_tir_in.make({ opcode: MLX5_CMD_OP_CREATE_TIR, disp_type: MLX5_TIRC_DISP_TYPE_INDIRECT, indirect_table: rqt, transport_domain: this.td });
    return { rqt, tir: mlx5_cmd_out.get(await this.driver.run(tirIn), 'number') };
  }

  /** A flow table that is the root. @returns its number */
  async table(): Promise<number> {
    const id = mlx5_cmd_out.get(await this.driver.run(mlx5_create_flow_table_in.make({ opcode: MLX5_CMD_OP_CREATE_FLOW_TABLE, log_size: 4 })), 'number');
    await this.driver.run(mlx5_flow_table_in.make({ opcode: MLX5_CMD_OP_SET_FLOW_TABLE_ROOT, table_id: id }));
    return id;
  }

  groupInput(table: number, first: number, last: number, criteria: Match): Uint8Array {
    const input = mlx5_create_flow_group_in.make({
      opcode: MLX5_CMD_OP_CREATE_FLOW_GROUP, table_id: table, start_flow_index: first, end_flow_index: last, match_criteria_enable: MLX5_MATCH_OUTER_HEADERS,
    });
    input.set(mlx5_fte_match_outer.make(criteria), mlx5_create_flow_group_in.offsetof('match_criteria'));
    return input;
  }

  async group(table: number, first: number, last: number, criteria: Match): Promise<number> {
    return mlx5_cmd_out.get(await this.driver.run(this.groupInput(table, first, last, criteria)), 'number');
  }

  /** Input of SET_FLOW_TABLE_ENTRY. @param more destinations and counters, 8 bytes each; the receive resource when absent */
  ruleInput(table: number, group: number, index: number, value: Match, tir: number, fields: object = {}, more?: readonly Uint8Array[]): Uint8Array {
    const tail = more ?? [mlx5_dest_format.make({ destination_type: MLX5_FLOW_DESTINATION_TYPE_TIR, destination_id: tir })];
    const input = mlx5_set_fte_in.make({
      opcode: MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY, table_id: table, flow_index: index, group_id: group, action: MLX5_FLOW_CONTEXT_ACTION_FWD_DEST, destination_list_size: 1, ...fields,
    }, 8 * tail.length);
    input.set(mlx5_fte_match_outer.make(value), mlx5_set_fte_in.offsetof('match_value'));
    for (const [i, bytes] of tail.entries()) input.set(bytes, mlx5_set_fte_in.size + 8 * i);
    return input;
  }

  /** Take everything into these queues. */
  async takeAll(...queues: readonly number[]): Promise<{ tir: number; rqt: number; table: number; group: number }> {
    const made = await this.receiver(...queues);
    const table = await this.table();
    const group = await this.group(table, 0, 7, {});
    await this.driver.run(this.ruleInput(table, group, 0, {}, made.tir));
    return { ...made, table, group };
  }

  /** Post a receive buffer. @returns its physical address */
  post({ ring }: DriverRing, token = 1, shift = this.shift): number {
    const pa = this.bench.alloc(2048);
    ring.add(Uint32Array.of(pa + shift, 0, 2048), 0, 0, 1, token);
    ring.kickPrepare();
    return pa;
  }

  /** Send a frame and ring. */
  async send(index: number, { ring }: DriverRing, frame: Uint8Array, shift = this.shift): Promise<void> {
    const pa = this.bench.alloc(HEADER + frame.length);
    this.bench.ram(pa + HEADER, frame.length).set(frame);
    ring.add(Uint32Array.of(pa + shift, 0, HEADER + frame.length), 0, 1, 0, 9);
    ring.kickPrepare();
    this.kick(index);
    await this.bench.hw.sched.run();
  }

  kick(index: number): undefined {
    return this.driver.poke(0xf000, index, 2);
  }

  /** A frame from outside. */
  async arrive(frame: Uint8Array): Promise<void> {
    this.outside.inject(frame);
    await this.bench.hw.sched.run();
  }

  /** Tokens that came back, with their lengths. */
  back({ ring }: DriverRing): [token: number, length: number][] {
    const tokens = new Int32Array(16);
    const lengths = new Uint32Array(16);
    const n = ring.getMany(tokens, lengths, 16);
    return Array.from({ length: n }, (_, i) => [tokens[i]!, lengths[i]!]);
  }
}

/** An Ethernet frame. @param vid tagged with it when given */
export function frame(to: readonly number[], length = 60, vid?: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(to);
  bytes.set([2, 9, 9, 9, 9, 9], 6);
  if (vid === undefined) bytes.set([0x88, 0xb5], 12);
  else bytes.set([0x81, 0x00, vid >>> 8, vid], 12);
  return bytes;
}

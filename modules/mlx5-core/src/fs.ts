/** Rules for received frames: tables, groups and entries. Mirrors `fs_core.c`, `fs_cmd.c`, `fs_counters.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Ida } from '@vdpalab/driver-core';
import type { Mutex } from '@vdpalab/sched';
import * as uapi from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import { withMutex } from './lock.ts';
import type { Mlx5Fc, Mlx5FlowAct, Mlx5FlowDestination, Mlx5FlowHandle, Mlx5FlowNamespace, Mlx5FlowSpec, Mlx5FlowTable, Mlx5FlowTableAttr } from './header.ts';

const OUT = uapi.mlx5_cmd_out.size;
const TYPE = uapi.MLX5_FLOW_TABLE_TYPE_NIC_RX;
const ENTRY_SIZE = uapi.mlx5_dest_format.size;

/** Entries that match by the same bits. */
interface Group {
  readonly id: number;
  readonly start: number;
  readonly size: number;
  readonly criteria: string;
  readonly indices: Ida;
}

/** `struct mlx5_flow_table` whose groups are made as rules ask for them. */
class FlowTable implements Mlx5FlowTable {
  readonly id: number;
  readonly ns: Mlx5FlowNamespace;
  readonly prio: number;
  readonly maxFte: number;
  readonly groupSize: number;
  readonly groups: Group[] = [];

  constructor(id: number, ns: Mlx5FlowNamespace, { prio, max_fte, autogroup }: Mlx5FlowTableAttr) {
    this.id = id;
    this.ns = ns;
    this.prio = prio;
    this.maxFte = max_fte;
    this.groupSize = Math.max(Math.floor(max_fte / (autogroup.max_num_groups + 1)), 1);
  }
}

/** A rule and the group it is in. */
interface Rule extends Mlx5FlowHandle {
  readonly ft: FlowTable;
  readonly group: Group;
}

/** Tables of one function. The table of lowest priority is the one that frames enter. */
export class FlowSteering {
  readonly #dev: CoreDev;
  readonly #lock: Mutex;
  readonly #ns: Mlx5FlowNamespace;
  readonly #tables = new Set<FlowTable>();
  readonly #counters = new Set<Mlx5Fc>();

  constructor(dev: CoreDev) {
    this.#dev = dev;
    this.#lock = dev.k.mutex_init('mlx5_fs');
    this.#ns = { dev, table_type: TYPE };
  }

  /** @see `mlx5_get_flow_namespace` */
  get namespace(): Mlx5FlowNamespace | null {
    return this.#dev.caps.steering ? this.#ns : null;
  }

  /** @throws what the firmware answers; no table is left then @see `mlx5_create_auto_grouped_flow_table` */
  async createTable(attr: Mlx5FlowTableAttr): Promise<Mlx5FlowTable> {
    return await withMutex(this.#dev.k, this.#lock, async () => {
      const id = await this.#number(uapi.mlx5_create_flow_table_in.make({
        opcode: uapi.MLX5_CMD_OP_CREATE_FLOW_TABLE, table_type: TYPE, log_size: Math.ceil(Math.log2(attr.max_fte)),
      }));
      const ft = new FlowTable(id, this.#ns, attr);
      try {
        if ([...this.#tables].every(({ prio }) => ft.prio < prio)) await this.#setRoot(ft);
      } catch (error) {
        await this.#destroy(ft);
        throw error;
      }
      this.#tables.add(ft);
      return ft;
    });
  }

  /** @see `mlx5_destroy_flow_table` */
  async destroyTable(table: Mlx5FlowTable): Promise<void> {
    await withMutex(this.#dev.k, this.#lock, async () => {
      const ft = this.#own(table);
      if (ft.groups.length > 0) throw new Error(`${this.#dev.device.name}: flow table ${ft.id} has rules`);
      this.#tables.delete(ft);
      const [next] = [...this.#tables].toSorted((a, b) => a.prio - b.prio);
      if (next !== undefined && next.prio > ft.prio) await this.#setRoot(next);
      await this.#destroy(ft);
    });
  }

  /** @throws ENOSPC when the table has no entry left; what the firmware answers; no rule is left then @see `mlx5_add_flow_rules` */
  async addRule(table: Mlx5FlowTable, spec: Mlx5FlowSpec, act: Mlx5FlowAct, dest: readonly Mlx5FlowDestination[]): Promise<Mlx5FlowHandle> {
    return await withMutex(this.#dev.k, this.#lock, async () => {
      const ft = this.#own(table);
      const criteria = [spec.match_criteria_enable, ...spec.match_criteria].join();
      const group = ft.groups.find((g) => g.criteria === criteria && g.indices.size < g.size) ?? await this.#createGroup(ft, spec, criteria);
      const index = this.#dev.k.ida_alloc_max(group.indices, group.size - 1);
      try {
        await this.#dev.cmd.exec(this.#entry(ft, group, group.start + index, spec, act, dest), OUT);
      } catch (error) {
        this.#dev.k.ida_free(group.indices, index);
        await this.#dropIfEmpty(ft, group);
        throw error;
      }
      const rule: Rule = { ft, group, flow_index: group.start + index };
      return rule;
    });
  }

  /** @see `mlx5_del_flow_rules` */
  async delRule(handle: Mlx5FlowHandle): Promise<void> {
    await withMutex(this.#dev.k, this.#lock, async () => {
      const { ft, group, flow_index } = handle as Rule; // addRule made it
      this.#dev.k.ida_free(group.indices, flow_index - group.start);
      await this.#dev.cmd.exec(uapi.mlx5_flow_table_in.make({
        opcode: uapi.MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY, table_type: TYPE, table_id: ft.id, flow_index,
      }), OUT);
      await this.#dropIfEmpty(ft, group);
    });
  }

  /** @see `mlx5_fc_create` */
  async createCounter(): Promise<Mlx5Fc> {
    const out = await this.#dev.cmd.exec(uapi.mlx5_cmd_in.make({ opcode: uapi.MLX5_CMD_OP_ALLOC_FLOW_COUNTER }), OUT);
    const fc: Mlx5Fc = { id: uapi.mlx5_flow_counter.get(out, 'flow_counter_id') };
    this.#counters.add(fc);
    return fc;
  }

  /** @see `mlx5_fc_destroy` */
  async destroyCounter(fc: Mlx5Fc): Promise<void> {
    this.#counters.delete(fc);
    const input = uapi.mlx5_flow_counter.make({ flow_counter_id: fc.id });
    uapi.mlx5_cmd_in.set(input, 'opcode', uapi.MLX5_CMD_OP_DEALLOC_FLOW_COUNTER);
    await this.#dev.cmd.exec(input, OUT);
  }

  /** @see `mlx5_fc_query` */
  async queryCounter({ id }: Mlx5Fc): Promise<{ packets: bigint; bytes: bigint }> {
    const { mlx5_query_flow_counter_in: input, mlx5_query_flow_counter_out: layout } = uapi;
    const out = await this.#dev.cmd.exec(input.make({ opcode: uapi.MLX5_CMD_OP_QUERY_FLOW_COUNTER, flow_counter_id: id }), layout.size);
    return { packets: layout.get(out, 'packets'), bytes: layout.get(out, 'octets') };
  }

  leftovers(): string[] {
    return [...[...this.#tables].map(({ id }) => `flow table ${id}`), ...[...this.#counters].map(({ id }) => `flow counter ${id}`)];
  }

  async #createGroup(ft: FlowTable, spec: Mlx5FlowSpec, criteria: string): Promise<Group> {
    const start = gapOf(ft);
    if (start === null) throw new KernelError('ENOSPC', 'mlx5.fs.full', `${this.#dev.device.name}: flow table ${ft.id}: all ${ft.maxFte} entries belong to groups`);
    const size = Math.min(ft.groupSize, start.room);
    const input = uapi.mlx5_create_flow_group_in.make({
      opcode: uapi.MLX5_CMD_OP_CREATE_FLOW_GROUP, table_type: TYPE, table_id: ft.id, start_flow_index: start.at, end_flow_index: start.at + size - 1,
      match_criteria_enable: spec.match_criteria_enable,
    });
    input.set(spec.match_criteria, uapi.mlx5_create_flow_group_in.offsetof('match_criteria'));
    const group: Group = { id: await this.#number(input), start: start.at, size, criteria, indices: this.#dev.k.ida_init() };
    ft.groups.push(group);
    return group;
  }

  async #dropIfEmpty(ft: FlowTable, group: Group): Promise<void> {
    if (group.indices.size > 0) return;
    ft.groups.splice(ft.groups.indexOf(group), 1);
    await this.#dev.cmd.exec(uapi.mlx5_flow_table_in.make({
      opcode: uapi.MLX5_CMD_OP_DESTROY_FLOW_GROUP, table_type: TYPE, table_id: ft.id, group_id: group.id,
    }), OUT);
  }

  #entry(ft: FlowTable, group: Group, flowIndex: number, spec: Mlx5FlowSpec, { action }: Mlx5FlowAct, dest: readonly Mlx5FlowDestination[]): Uint8Array {
    const tirs = dest.flatMap((d) => (d.type === 'tir' ? [d.tir_num] : []));
    const counters = dest.flatMap((d) => (d.type === 'counter' ? [d.counter_id] : []));
    const layout = uapi.mlx5_set_fte_in;
    const input = layout.make({
      opcode: uapi.MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY, table_type: TYPE, table_id: ft.id, flow_index: flowIndex, group_id: group.id, action,
      destination_list_size: tirs.length, flow_counter_list_size: counters.length,
    }, ENTRY_SIZE * dest.length);
    input.set(spec.match_value, layout.offsetof('match_value'));
    for (const [n, tir] of tirs.entries()) {
      const at = layout.size + n * ENTRY_SIZE;
      uapi.mlx5_dest_format.set(input, 'destination_type', uapi.MLX5_FLOW_DESTINATION_TYPE_TIR, at);
      uapi.mlx5_dest_format.set(input, 'destination_id', tir, at);
    }
    for (const [n, counter] of counters.entries()) uapi.setBe32At(input, layout.size + (tirs.length + n) * ENTRY_SIZE, counter);
    return input;
  }

  async #setRoot(ft: FlowTable): Promise<void> {
    await this.#dev.cmd.exec(uapi.mlx5_flow_table_in.make({ opcode: uapi.MLX5_CMD_OP_SET_FLOW_TABLE_ROOT, table_type: TYPE, table_id: ft.id }), OUT);
  }

  async #destroy(ft: FlowTable): Promise<void> {
    await this.#dev.cmd.exec(uapi.mlx5_flow_table_in.make({ opcode: uapi.MLX5_CMD_OP_DESTROY_FLOW_TABLE, table_type: TYPE, table_id: ft.id }), OUT);
  }

  async #number(input: Uint8Array): Promise<number> {
    return uapi.mlx5_cmd_out.get(await this.#dev.cmd.exec(input, OUT), 'number');
  }

  #own(table: Mlx5FlowTable): FlowTable {
    if (table instanceof FlowTable && this.#tables.has(table)) return table;
    throw new Error(`${this.#dev.device.name}: no flow table ${table.id}`);
  }
}

/** The first entries that belong to no group; `null` when there are none. */
function gapOf({ groups, maxFte }: FlowTable): { at: number; room: number } | null {
  let at = 0;
  for (const { start, size } of groups.toSorted((a, b) => a.start - b.start)) {
    if (start > at) return { at, room: start - at };
    at = start + size;
  }
  return at < maxFte ? { at, room: maxFte - at } : null;
}

/** Commands about flow tables and counters. */
import {
  MLX5_CMD_OP_ALLOC_FLOW_COUNTER, MLX5_CMD_OP_CREATE_FLOW_GROUP, MLX5_CMD_OP_CREATE_FLOW_TABLE, MLX5_CMD_OP_DEALLOC_FLOW_COUNTER,
  MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY, MLX5_CMD_OP_DESTROY_FLOW_GROUP, MLX5_CMD_OP_DESTROY_FLOW_TABLE, MLX5_CMD_OP_QUERY_FLOW_COUNTER,
  MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY, MLX5_CMD_OP_SET_FLOW_TABLE_ROOT, MLX5_FLOW_CONTEXT_ACTION_COUNT, MLX5_FLOW_CONTEXT_ACTION_DROP,
  MLX5_FLOW_CONTEXT_ACTION_FWD_DEST, MLX5_FLOW_DESTINATION_TYPE_TIR, MLX5_FLOW_TABLE_TYPE_FDB, MLX5_FLOW_TABLE_TYPE_NIC_RX,
  MLX5_MATCH_OUTER_HEADERS, be32At, mlx5_cmd_out, mlx5_create_flow_group_in, mlx5_create_flow_table_in, mlx5_dest_format, mlx5_flow_counter,
  mlx5_flow_table_in, mlx5_fte_match_outer, mlx5_query_flow_counter_in, mlx5_query_flow_counter_out, mlx5_set_fte_in,
} from '@vdpalab/uapi';
import { FlowTable, LOG_MAX_FT_SIZE } from '../flow-tables.ts';
import type { FlowMatch, FlowRule } from '../flow-tables.ts';
import { Refusal } from '../refusal.ts';
import type { Resources } from '../resources.ts';
import type { Vhca } from '../vhca.ts';
import { HEAD } from './command.ts';
import type { Command, Commands } from './command.ts';

/** Bytes of all match parameters. */
const MATCH_SIZE = 0x200;
const DMAC_AT = 8;
const ACTIONS = MLX5_FLOW_CONTEXT_ACTION_DROP | MLX5_FLOW_CONTEXT_ACTION_FWD_DEST | MLX5_FLOW_CONTEXT_ACTION_COUNT;

/** A match on what a table here can look at. @throws Refusal BAD_PARAM when it asks for more */
function matchOf(input: Uint8Array, at: number): FlowMatch {
  const bytes = input.slice(at, at + MATCH_SIZE);
  const match = {
    dmac: bytes.slice(DMAC_AT, DMAC_AT + 6), cvlanTag: mlx5_fte_match_outer.get(bytes, 'cvlan_tag'), vid: mlx5_fte_match_outer.get(bytes, 'first_vid'),
  };
  bytes.fill(0, DMAC_AT, DMAC_AT + 6);
  mlx5_fte_match_outer.set(bytes, 'cvlan_tag', 0);
  mlx5_fte_match_outer.set(bytes, 'first_vid', 0);
  if (bytes.some((byte) => byte !== 0)) throw new Refusal('flow.criteria');
  return match;
}

/** Where an entry leads. @throws Refusal */
function actionOf(input: Uint8Array, resources: Resources): Pick<FlowRule, 'tir' | 'counter'> {
  const action = mlx5_set_fte_in.get(input, 'action');
  const at = mlx5_set_fte_in.size;
  const destinations = mlx5_set_fte_in.get(input, 'destination_list_size');
  const counters = mlx5_set_fte_in.get(input, 'flow_counter_list_size');
  const forwards = (action & MLX5_FLOW_CONTEXT_ACTION_FWD_DEST) !== 0;
  const counts = (action & MLX5_FLOW_CONTEXT_ACTION_COUNT) !== 0;
  if ((action & ~ACTIONS) !== 0 || destinations !== Number(forwards) || counters !== Number(counts)) throw new Refusal('flow.action');
  if (input.length < at + 8 * (destinations + counters)) throw new Refusal('flow.action');
  if (forwards && mlx5_dest_format.get(input, 'destination_type', at) !== MLX5_FLOW_DESTINATION_TYPE_TIR) throw new Refusal('flow.action');
  const tir = forwards ? mlx5_dest_format.get(input, 'destination_id', at) : null;
  if (tir !== null) resources.tirs.get(tir);
  return { tir, counter: counts ? resources.flowCounters.get(be32At(input, at + 8 * destinations)) : null };
}

/** A command about a table that exists. */
function onTable(input: number, run: (table: FlowTable, bytes: Uint8Array, output: Uint8Array, vhca: Vhca) => undefined): Command {
  return {
    input, output: 8, needs: 'initialised',
    run: (vhca, bytes, output) => run(vhca.resources.flowTables.get(mlx5_flow_table_in.get(bytes, 'table_id')), bytes, output, vhca),
  };
}

export const flowCommands: Commands = {
  [MLX5_CMD_OP_CREATE_FLOW_TABLE]: {
    input: mlx5_create_flow_table_in.size, output: HEAD, needs: 'initialised',
    run({ resources, subfunctions }, input, output) {
      const type = mlx5_create_flow_table_in.get(input, 'table_type');
      const logSize = mlx5_create_flow_table_in.get(input, 'log_size');
      const known = type === MLX5_FLOW_TABLE_TYPE_NIC_RX || (type === MLX5_FLOW_TABLE_TYPE_FDB && subfunctions !== null);
      if (!known || logSize > LOG_MAX_FT_SIZE) throw new Refusal('flow.table-type');
      mlx5_cmd_out.set(output, 'number', resources.flowTables.add(() => new FlowTable(type, logSize)));
    },
  },
  [MLX5_CMD_OP_DESTROY_FLOW_TABLE]: onTable(mlx5_flow_table_in.size, (table, input, _, { resources }) => {
    if (table.groups.size > 0) throw new Refusal('object.busy');
    if (resources.flowRoot === table) resources.flowRoot = null;
    resources.flowTables.remove(mlx5_flow_table_in.get(input, 'table_id'));
  }),
  [MLX5_CMD_OP_SET_FLOW_TABLE_ROOT]: {
    input: mlx5_flow_table_in.size, output: 8, needs: 'initialised',
    run({ resources }, input) {
      if (mlx5_flow_table_in.get(input, 'table_type') !== MLX5_FLOW_TABLE_TYPE_NIC_RX) return;
      const number = mlx5_flow_table_in.get(input, 'table_id');
      resources.flowRoot = number === 0 ? null : resources.flowTables.get(number);
    },
  },
  [MLX5_CMD_OP_CREATE_FLOW_GROUP]: {
    ...onTable(mlx5_create_flow_group_in.size, (table, input, output) => {
      const [first, last] = [mlx5_create_flow_group_in.get(input, 'start_flow_index'), mlx5_create_flow_group_in.get(input, 'end_flow_index')];
      if (first > last || last >= 1 << table.logSize) throw new Refusal('flow.index');
      if ([...table.groups.values()].some((group) => first <= group.last && group.first <= last)) throw new Refusal('flow.index');
      if ((mlx5_create_flow_group_in.get(input, 'match_criteria_enable') & ~MLX5_MATCH_OUTER_HEADERS) !== 0) throw new Refusal('flow.criteria');
      const criteria = matchOf(input, mlx5_create_flow_group_in.offsetof('match_criteria'));
      mlx5_cmd_out.set(output, 'number', table.groups.add(() => ({ first, last, criteria })));
    }),
    output: HEAD,
  },
  [MLX5_CMD_OP_DESTROY_FLOW_GROUP]: onTable(mlx5_flow_table_in.size, (table, input) => {
    const number = mlx5_flow_table_in.get(input, 'group_id');
    const group = table.groups.get(number);
    if (table.rules.some((rule) => rule.group === group)) throw new Refusal('object.busy');
    table.groups.remove(number);
  }),
  [MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY]: onTable(mlx5_set_fte_in.size, (table, input, _, { resources }) => table.set({
    index: mlx5_set_fte_in.get(input, 'flow_index'),
    group: table.groups.get(mlx5_set_fte_in.get(input, 'group_id')),
    value: matchOf(input, mlx5_set_fte_in.offsetof('match_value')),
    ...actionOf(input, resources),
  })),
  [MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY]: onTable(mlx5_flow_table_in.size, (table, input) => table.delete(mlx5_flow_table_in.get(input, 'flow_index'))),
  [MLX5_CMD_OP_ALLOC_FLOW_COUNTER]: {
    input: HEAD, output: HEAD, needs: 'initialised',
    run: ({ resources }, _, output) => mlx5_flow_counter.set(output, 'flow_counter_id', resources.flowCounters.add(() => ({ packets: 0n, octets: 0n }))),
  },
  [MLX5_CMD_OP_DEALLOC_FLOW_COUNTER]: {
    input: HEAD, output: 8, needs: 'initialised',
    run: ({ resources }, input) => void resources.flowCounters.remove(mlx5_flow_counter.get(input, 'flow_counter_id')) as undefined,
  },
  [MLX5_CMD_OP_QUERY_FLOW_COUNTER]: {
    input: mlx5_query_flow_counter_in.size, output: mlx5_query_flow_counter_out.size, needs: 'initialised',
    run({ resources }, input, output) {
      const counter = resources.flowCounters.get(mlx5_query_flow_counter_in.get(input, 'flow_counter_id'));
      mlx5_query_flow_counter_out.set(output, 'packets', counter.packets);
      mlx5_query_flow_counter_out.set(output, 'octets', counter.octets);
      if (mlx5_query_flow_counter_in.get(input, 'clear') === 1) Object.assign(counter, { packets: 0n, octets: 0n });
    },
  },
};

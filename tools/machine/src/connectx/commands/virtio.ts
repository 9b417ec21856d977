/** Commands about virtio queues and their counters, as general objects. */
import {
  MLX5_CMD_OP_CREATE_GENERAL_OBJECT, MLX5_CMD_OP_DESTROY_GENERAL_OBJECT, MLX5_CMD_OP_MODIFY_GENERAL_OBJECT, MLX5_CMD_OP_QUERY_GENERAL_OBJECT,
  MLX5_GENERAL_OBJ_AT, MLX5_OBJ_TYPE_VIRTIO_NET_Q, MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS, MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_PACKED, MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_SPLIT,
  MLX5_VIRTIO_NET_F_MRG_RXBUF, MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE, MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE, MLX5_VIRTQ_MODIFY_MASK_STATE,
  mlx5_general_obj_in, mlx5_general_obj_out, mlx5_virtio_net_q, mlx5_virtio_q_counters,
} from '@vdpalab/uapi';
import { Refusal } from '../refusal.ts';
import type { VirtioQueueCounters } from '../resources.ts';
import type { Vhca } from '../vhca.ts';
import { VirtioQueue } from '../virtio-queue.ts';
import type { VirtioQueueSettings } from '../virtio-queue.ts';
import { HEAD } from './command.ts';
import type { Command, Commands } from './command.ts';

const AT = MLX5_GENERAL_OBJ_AT;

/** One type of object. */
interface ObjectType {
  readonly size: number;
  readonly create: (vhca: Vhca, input: Uint8Array) => number;
  readonly modify: (vhca: Vhca, number: number, input: Uint8Array) => undefined;
  readonly query: (vhca: Vhca, number: number, output: Uint8Array) => undefined;
  readonly destroy: (vhca: Vhca, number: number) => undefined;
}

function address(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Refusal('virtq.fields');
  return Number(value);
}

/** @throws Refusal */
function settingsOf(vhca: Vhca, input: Uint8Array): VirtioQueueSettings {
  const { resources, chip } = vhca;
  const q = <K extends keyof typeof mlx5_virtio_net_q.fields>(field: K) => mlx5_virtio_net_q.get(input, field, AT);
  const index = q('queue_index');
  if (index >= 2 * chip.config.queue_pairs) throw new Refusal('virtq.index');
  if ([...resources.queues.values()].some(({ settings }) => settings.index === index)) throw new Refusal('object.busy');
  const packed = q('virtio_q_type') === MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_PACKED;
  if (packed ? chip.config.packed !== true : q('virtio_q_type') !== MLX5_VIRTIO_EMULATION_VIRTIO_QUEUE_TYPE_SPLIT || chip.config.without?.includes('split') === true) {
    throw new Refusal('virtq.type');
  }
  resources.pds.get(q('pd'));
  if ((index & 1) === 1) resources.tiss.get(q('tisn_or_qpn'));
  const [eventMode, event] = [q('event_mode'), q('event_qpn_or_msix')];
  if (eventMode > MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE) throw new Refusal('virtq.event-mode');
  if (eventMode === MLX5_VIRTIO_Q_EVENT_MODE_MSIX_MODE && event >= chip.config.vectors) throw new Refusal('virtq.event-mode');
  const counters = q('counter_set_id');
  return {
    index, packed, size: q('queue_size'), eventMode, event,
    eventQueue: eventMode === MLX5_VIRTIO_Q_EVENT_MODE_QP_MODE ? resources.cqs.get(event) : null,
    descAddr: address(q('desc_addr')), availAddr: address(q('available_addr')), usedAddr: address(q('used_addr')),
    key: chip.keys.own(vhca.vhcaId, q('virtio_q_mkey')),
    modern: q('virtio_version_1_0') === 1,
    mergeable: (q('queue_feature_bit_mask_2_0') & (1 << MLX5_VIRTIO_NET_F_MRG_RXBUF)) !== 0,
    state: { lastAvail: q('hw_available_index'), lastUsed: q('hw_used_index') },
    counters: counters === 0 ? null : resources.queueCounters.get(counters),
  };
}

const virtioNetQ: ObjectType = {
  size: mlx5_virtio_net_q.size,
  create(vhca, input) {
    const settings = settingsOf(vhca, input);
    const { chip, vhcaId, name, frames } = vhca;
    return vhca.resources.queues.add((number) => {
      const queue: VirtioQueue = new VirtioQueue(number, settings, {
        ...chip, vhca: vhcaId, name, fault: chip.keyFault, counters: frames.counters,
        post: (type, subType, data) => vhca.post(type, subType, data),
        transmitter: () => frames.for(queue),
      });
      return queue;
    });
  },
  modify({ resources }, number, input) {
    const queue = resources.queues.get(number);
    if (mlx5_virtio_net_q.get(input, 'modify_field_select', AT) !== MLX5_VIRTQ_MODIFY_MASK_STATE) throw new Refusal('virtq.fields');
    return queue.setState(mlx5_virtio_net_q.get(input, 'state', AT));
  },
  query({ resources, vhcaId }, number, output) {
    const { state, indices, settings } = resources.queues.get(number);
    mlx5_virtio_net_q.set(output, 'vhca_id', vhcaId, AT);
    mlx5_virtio_net_q.set(output, 'state', state, AT);
    mlx5_virtio_net_q.set(output, 'hw_available_index', indices.lastAvail, AT);
    mlx5_virtio_net_q.set(output, 'hw_used_index', indices.lastUsed, AT);
    mlx5_virtio_net_q.set(output, 'queue_index', settings.index, AT);
    mlx5_virtio_net_q.set(output, 'queue_size', settings.size, AT);
    mlx5_virtio_net_q.set(output, 'virtio_q_mkey', settings.key.key, AT);
  },
  destroy({ resources }, number) {
    const queue = resources.queues.get(number);
    if (queue.users > 0) throw new Refusal('object.busy');
    queue.destroy();
    resources.queues.remove(number);
  },
};

const virtioQCounters: ObjectType = {
  size: mlx5_virtio_q_counters.size,
  create: ({ resources }) => resources.queueCounters.add(() => ({ received: 0n, completed: 0n, errors: 0, badDescriptors: 0, invalidBuffers: 0 })),
  modify: () => {
    throw new Refusal('object.type');
  },
  query({ resources }, number, output) {
    const counters: VirtioQueueCounters = resources.queueCounters.get(number);
    mlx5_virtio_q_counters.set(output, 'received_desc', counters.received, AT);
    mlx5_virtio_q_counters.set(output, 'completed_desc', counters.completed, AT);
    mlx5_virtio_q_counters.set(output, 'error_cqes', counters.errors, AT);
    mlx5_virtio_q_counters.set(output, 'bad_desc_errors', counters.badDescriptors, AT);
    mlx5_virtio_q_counters.set(output, 'invalid_buffer', counters.invalidBuffers, AT);
  },
  destroy({ resources }, number) {
    const counters = resources.queueCounters.get(number);
    if ([...resources.queues.values()].some(({ settings }) => settings.counters === counters)) throw new Refusal('object.busy');
    resources.queueCounters.remove(number);
  },
};

const TYPES: ReadonlyMap<number, ObjectType> = new Map([
  [MLX5_OBJ_TYPE_VIRTIO_NET_Q, virtioNetQ], [MLX5_OBJ_TYPE_VIRTIO_Q_COUNTERS, virtioQCounters],
]);

/** Whether the object itself is part of the command's input, of its output, or neither. */
function onObject(carries: 'input' | 'output' | 'neither', run: (type: ObjectType, vhca: Vhca, number: number, input: Uint8Array, output: Uint8Array) => undefined): Command {
  return {
    input: HEAD, output: HEAD, needs: 'initialised',
    run(vhca, input, output) {
      const type = TYPES.get(mlx5_general_obj_in.get(input, 'obj_type'));
      if (type === undefined) throw new Refusal('object.type');
      if (carries === 'input' && input.length < AT + type.size) throw new Refusal('length.input');
      if (carries === 'output' && output.length < AT + type.size) throw new Refusal('length.output');
      return run(type, vhca, mlx5_general_obj_in.get(input, 'obj_id'), input, output);
    },
  };
}

export const virtioCommands: Commands = {
  [MLX5_CMD_OP_CREATE_GENERAL_OBJECT]: onObject('input', (type, vhca, _, input, output) => mlx5_general_obj_out.set(output, 'obj_id', type.create(vhca, input))),
  [MLX5_CMD_OP_MODIFY_GENERAL_OBJECT]: onObject('input', (type, vhca, number, input) => type.modify(vhca, number, input)),
  [MLX5_CMD_OP_QUERY_GENERAL_OBJECT]: onObject('output', (type, vhca, number, _, output) => type.query(vhca, number, output)),
  [MLX5_CMD_OP_DESTROY_GENERAL_OBJECT]: onObject('neither', (type, vhca, number) => type.destroy(vhca, number)),
};

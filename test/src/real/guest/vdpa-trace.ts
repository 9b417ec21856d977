/** What QEMU does with a vhost-vdpa device, as its own trace tells. */

/** QEMU's arguments for a trace on its standard error. */
export const TRACED = ['-trace', 'vhost_vdpa*'] as const;

/** One line of the trace. */
export interface VdpaCall {
  /** `dma_map`: the event, less its prefix. */
  readonly name: string;
  /** `iova: 0xc3000` and the like, as numbers. */
  readonly values: ReadonlyMap<string, number>;
}

/** Lines of a trace, in order; what else QEMU says is left out. */
export function vdpaCalls(stderr: string): VdpaCall[] {
  return [...stderr.matchAll(/^vhost_vdpa_(\w+) (.*)$/gm)].map(([, name = '', rest = '']) => ({
    name, values: new Map([...rest.matchAll(/(\w+): ?(\S+)/g)].map(([, key = '', value]) => [key, Number(value)])),
  }));
}

/** Calls from features to DRIVER_OK by which a device gets its features, rings and memory. */
export function startOf(calls: readonly VdpaCall[]): string[] {
  const STEPS = [
    'set_features', 'add_status', 'set_vring_num', 'set_vring_base', 'set_vring_addr', 'set_vring_kick', 'set_vring_ready', 'listener_begin_batch', 'listener_commit',
  ];
  const first = calls.findIndex(({ name }) => name === 'set_features');
  const last = calls.findIndex(({ name, values }) => name === 'add_status' && values.get('status') === 4);
  return calls.slice(first, last + 1).map(({ name }) => name).filter((name) => STEPS.includes(name));
}

/** Memory that QEMU maps in its first batch. */
export function firstBatch(calls: readonly VdpaCall[]): { readonly iova: number; readonly size: number; readonly perm: number }[] {
  const end = calls.findIndex(({ name }) => name === 'listener_commit');
  return calls.slice(0, end).filter(({ name }) => name === 'dma_map').map(({ values }) => ({
    iova: values.get('iova') ?? -1, size: values.get('size') ?? -1, perm: values.get('perm') ?? -1,
  }));
}

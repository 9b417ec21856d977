/**
 * What every virtio transport does, whatever is below it: a table of checks on one network function with a receive and a
 * transmit queue at least, for the tests of each transport.
 */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic, KModule } from '@vdpalab/abi';
import { VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF } from '@vdpalab/uapi';

/** A virtqueue, as far as the checks look. */
interface Queue {
  readonly name: string;
  readonly index: number;
}

/** A virtio device, as far as the checks look. */
interface Device {
  readonly dev: { readonly name: string };
  readonly features: bigint;
  readonly config: {
    readonly get: (vdev: never, offset: number, len: number) => Promise<Uint8Array>;
    readonly get_status: (vdev: never) => Promise<number>;
  };
}

interface Request {
  readonly name: string | null;
  readonly callback: ((vq: Queue) => Atomic) | null;
}

interface Page {
  readonly pa: number;
}

/** Symbols as the checks call them; their full types are in headers above this package. */
export interface TransportKernel {
  readonly register_virtio_driver: (drv: never) => Promise<void>;
  readonly unregister_virtio_driver: (drv: never) => Promise<void>;
  readonly virtio_find_vqs: (vdev: never, vqs: readonly Request[]) => Promise<(Queue | null)[]>;
  readonly virtio_del_vqs: (vdev: never) => Promise<void>;
  readonly virtio_reset_device: (vdev: never) => Promise<void>;
  readonly virtio_device_ready: (vdev: never) => Promise<void>;
  readonly virtqueue_add_sgs: (vq: never, out: readonly { pa: number; len: number }[], inp: readonly { pa: number; len: number }[], data: unknown) => Atomic;
  readonly virtqueue_kick: (vq: never) => boolean;
  readonly virtqueue_get_buf: (vq: never) => { readonly data: unknown; readonly len: number } | null;
  readonly virtqueue_detach_unused_buf: (vq: never) => unknown;
  readonly virtio_ring_leftovers: () => readonly string[];
  readonly irq_leftovers: () => readonly string[];
  readonly alloc_pages: (count: number) => Page;
  readonly free_pages: (page: never) => Atomic;
  readonly phys_view: (pa: number, len: number) => Uint8Array;
}

/** What is put through the checks. */
export interface TransportBench {
  readonly k: TransportKernel;
  readonly run: <T>(body: () => Promise<T>) => Promise<T>;
  /** Run until nothing is ready. */
  readonly settle: () => Promise<unknown>;
  readonly id: number;
  /** Queues the device has. */
  readonly queues: number;
  readonly mac: Uint8Array;
  /** Whether virtio 1.0 is negotiated. */
  readonly modern: boolean;
  /** Put a frame on the device's wire. */
  readonly inject: (frame: Uint8Array) => void;
  /** Take the frames the device has sent. */
  readonly sent: () => readonly Uint8Array[];
  /** Plug the cable in or out. */
  readonly setLink: (up: boolean) => void;
}

/** One thing every transport does. @throws Error when it does not */
export interface TransportCheck {
  readonly name: string;
  readonly run: (bench: TransportBench) => Promise<void>;
}

const HEADER = 12;
const STATUS_AT = 6;

/** Refuse what is not as it should be. */
function expectSame(what: string, got: unknown, wanted: unknown): void {
  const text = (value: unknown): string => JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v)) ?? 'undefined';
  if (text(got) !== text(wanted)) throw new Error(`${what}: ${text(got)}, not ${text(wanted)}`);
}

/** What the driver of a check does. */
interface Hooks {
  readonly probe: (vdev: Device) => Promise<void>;
  readonly config_changed?: (vdev: Device) => Atomic;
}

/** Load a driver, run the body while it has the device, unload it; nothing may be left. */
async function withDriver(b: TransportBench, hooks: Hooks, body: (vdev: Device) => Promise<void>): Promise<void> {
  const before = b.k.irq_leftovers().length;
  const owner: KModule = { name: 'transport_check', state: 'live' };
  const found: Device[] = [];
  const driver = {
    name: 'transport_check', owner, id_table: [{ device: b.id, vendor: null }],
    feature_table: [VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF],
    ...hooks,
    async probe(vdev: Device) {
      await hooks.probe(vdev);
      found.push(vdev);
    },
    async remove(vdev: Device) {
      await b.k.virtio_reset_device(vdev as never);
      await b.k.virtio_del_vqs(vdev as never);
    },
  };
  await b.run(() => b.k.register_virtio_driver(driver as never));
  try {
    const [vdev] = found;
    if (vdev !== undefined) await body(vdev);
  } finally {
    await b.run(() => b.k.unregister_virtio_driver(driver as never));
  }
  expectSame('rings left', b.k.virtio_ring_leftovers(), []);
  expectSame('interrupts left', b.k.irq_leftovers().length, before);
}

/** Receive and transmit queue, and the calls of their callbacks. */
async function pair(b: TransportBench, vdev: Device, called: string[] = []): Promise<readonly [Queue, Queue]> {
  const request = (name: string): Request => ({ name, callback: (): undefined => void called.push(name) });
  const [rx, tx] = await b.k.virtio_find_vqs(vdev as never, [request('input.0'), request('output.0')]);
  await b.k.virtio_device_ready(vdev as never);
  if (rx === null || rx === undefined || tx === null || tx === undefined) throw new Error('queues were skipped');
  return [rx, tx];
}

/** The errno of what is refused. */
async function refusal(body: () => Promise<unknown>): Promise<string> {
  try {
    await body();
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
  return 'ok';
}

function frame(to: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: 64 }, (_, i) => (i < 6 ? to[i]! : i < 12 ? 2 * i : i));
}

/** The checks. */
export const transportChecks: readonly TransportCheck[] = [
  {
    name: 'acknowledges a device, negotiates, and says that it drives',
    async run(b) {
      await withDriver(b, { probe: async (vdev) => void await pair(b, vdev) }, async (vdev) => {
        expectSame('status', await b.run(() => vdev.config.get_status(vdev as never)), b.modern ? 15 : 7);
        const bits = [VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_F_VERSION_1].map((bit) => (vdev.features >> BigInt(bit)) & 1n);
        expectSame('features', bits, [1n, 1n, b.modern ? 1n : 0n]);
      });
    },
  },
  {
    name: 'reads the device configuration, from any byte on',
    async run(b) {
      await withDriver(b, { probe: async (vdev) => void await pair(b, vdev) }, async (vdev) => {
        for (const at of [0, 1, 3]) {
          expectSame(`MAC from ${at}`, [...await b.run(() => vdev.config.get(vdev as never, at, 6 - at))], [...b.mac.subarray(at)]);
        }
      });
    },
  },
  {
    name: 'passes over a queue without a name, and gives its index to the next',
    async run(b) {
      let found: (Queue | null)[] = [];
      await withDriver(b, {
        async probe(vdev) {
          found = await b.k.virtio_find_vqs(vdev as never, ['a', null, 'b'].map((name) => ({ name, callback: null })));
        },
      }, async () => undefined);
      expectSame('queues', found.map((vq) => (vq === null ? null : [vq.name, vq.index])), [['a', 0], null, ['b', 1]]);
    },
  },
  {
    name: 'refuses a queue the device has not, and keeps none',
    async run(b) {
      let errno = '';
      await withDriver(b, {
        async probe(vdev) {
          const requests = Array.from({ length: b.queues + 1 }, (_, i) => ({ name: `q${i}`, callback: (): undefined => undefined }));
          errno = await refusal(() => b.k.virtio_find_vqs(vdev as never, requests));
          expectSame('rings left', b.k.virtio_ring_leftovers(), []);
          await b.k.virtio_find_vqs(vdev as never, requests.slice(0, 2)); // the device takes a driver that asks for less
        },
      }, async () => undefined);
      if (!['ENOENT', 'EINVAL'].includes(errno)) throw new Error(`a queue too many: ${errno}`);
    },
  },
  {
    name: 'sends what is put into a queue, and calls back once it is used',
    async run(b) {
      const called: string[] = [];
      let tx: Queue | null = null;
      await withDriver(b, { probe: async (vdev) => void ([, tx] = await pair(b, vdev, called)) }, async () => {
        const bytes = frame(new Uint8Array(6).fill(0xff));
        const page = await b.run(async () => {
          const run = b.k.alloc_pages(1);
          b.k.phys_view(run.pa, HEADER).fill(0);
          b.k.phys_view(run.pa + HEADER, bytes.length).set(bytes);
          b.k.virtqueue_add_sgs(tx as never, [{ pa: run.pa, len: HEADER + bytes.length }], [], run);
          b.k.virtqueue_kick(tx as never);
          return run;
        });
        await b.settle();
        expectSame('frames', b.sent().map((f) => [...f]), [[...bytes]]);
        expectSame('callbacks', called, ['output.0']);
        expectSame('used', await b.run(async () => b.k.virtqueue_get_buf(tx as never)?.data === page), true);
        await b.run(async () => b.k.free_pages(page as never));
      });
    },
  },
  {
    name: 'receives into a buffer, and calls back',
    async run(b) {
      const called: string[] = [];
      let rx: Queue | null = null;
      await withDriver(b, { probe: async (vdev) => void ([rx] = await pair(b, vdev, called)) }, async () => {
        const bytes = frame(b.mac);
        const page = await b.run(async () => {
          const run = b.k.alloc_pages(1);
          b.k.virtqueue_add_sgs(rx as never, [], [{ pa: run.pa, len: 4096 }], run);
          b.k.virtqueue_kick(rx as never);
          return run;
        });
        b.inject(bytes);
        await b.settle();
        expectSame('callbacks', called, ['input.0']);
        expectSame('length', await b.run(async () => b.k.virtqueue_get_buf(rx as never)?.len), HEADER + bytes.length);
        expectSame('bytes', [...b.k.phys_view(page.pa + HEADER, bytes.length)], [...bytes]);
        await b.run(async () => b.k.free_pages(page as never));
      });
    },
  },
  {
    name: 'tells of a change of the configuration',
    async run(b) {
      let changes = 0;
      await withDriver(b, {
        probe: async (vdev) => void await pair(b, vdev),
        config_changed: (): undefined => void changes++,
      }, async (vdev) => {
        b.setLink(false);
        await b.settle();
        expectSame('changes', changes, 1);
        expectSame('status of the link', (await b.run(() => vdev.config.get(vdev as never, STATUS_AT, 1)))[0], 0);
        b.setLink(true);
        await b.settle();
        expectSame('changes', changes, 2);
      });
    },
  },
  {
    name: 'stops the device at a reset, takes buffers back, and starts anew',
    async run(b) {
      for (let round = 0; round < 2; round++) {
        let rx: Queue | null = null;
        await withDriver(b, { probe: async (vdev) => void ([rx] = await pair(b, vdev)) }, async (vdev) => {
          await b.run(async () => {
            const run = b.k.alloc_pages(1);
            b.k.virtqueue_add_sgs(rx as never, [], [{ pa: run.pa, len: 4096 }], run);
            b.k.virtqueue_kick(rx as never);
            await b.k.virtio_reset_device(vdev as never);
            expectSame('status', await vdev.config.get_status(vdev as never), 0);
            expectSame('buffer', b.k.virtqueue_detach_unused_buf(rx as never) === run, true);
            b.k.free_pages(run as never);
          });
          b.inject(frame(b.mac));
          await b.settle();
        });
      }
    },
  },
];

import { covers } from '@vdpalab/features';
import { VIRTIO_F_RING_PACKED, vring_desc, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, vring_used_elem } from '@vdpalab/uapi';
import { beforeEach, expect, test } from 'vitest';
import { bits } from '../protocol/features.ts';
import { rte_vdpa_relay_vring_used, type RelaySite } from './relay.ts';

const SIZE = 8;
/** Guest addresses; the process sees guest address n at n + HOST, and has a ring of its own below. */
const [DESC, USED, TABLE] = [0x1000, 0x2000, 0x3000];
const HOST = 0x10_0000;
const MEDIATED = 0x100;

let memory: Uint8Array<ArrayBuffer>;
let view: DataView;
let features: bigint;
let cut: boolean;
let logged: [number, number][];
let site: RelaySite;
beforeEach(() => {
  memory = new Uint8Array(HOST + 0x4000);
  view = new DataView(memory.buffer);
  features = 0n;
  cut = false;
  logged = [];
  const mm = {
    load: (va: number) => view.getUint16(va, true),
    store: (va: number, _size: number, value: number) => view.setUint16(va, value, true),
    read: (va: number, len: number) => memory.slice(va, va + len),
    write: (va: number, bytes: Uint8Array) => memory.set(bytes, va),
  };
  site = {
    p: { proc: { mm } } as unknown as RelaySite['p'], // the four calls are all that is asked of a process
    hostVa: (_vid, gpa, len) => (gpa >= 0 && gpa + len <= 0x4000 ? gpa + HOST : null),
    memoryCut: () => cut,
    rte_vhost_get_negotiated_features: () => features,
    rte_vhost_get_vhost_vring: () => ({ place: { desc: DESC, avail: 0, used: USED, log: USED }, size: SIZE, kickfd: 0, callfd: 0, enabled: true }),
    rte_vhost_log_write: (_vid, gpa, len) => void logged.push([gpa, len]),
    rte_vhost_log_used_vring: () => void logged.push([USED, 0]),
  };
});

function describeAt(table: number, index: number, addr: number, len: number, flags: number, next = 0): void {
  memory.set(vring_desc.encode({ addr: BigInt(addr), len, flags, next }), HOST + table + index * vring_desc.size);
}

/** The device uses a chain. */
function use(id: number): void {
  const idx = view.getUint16(MEDIATED + 2, true);
  memory.set(vring_used_elem.encode({ id, len: 1 }), MEDIATED + 4 + (idx % SIZE) * vring_used_elem.size);
  view.setUint16(MEDIATED + 2, (idx + 1) & 0xffff, true);
}

const relay = (): number => rte_vdpa_relay_vring_used(site, 0, 0, MEDIATED);
/** The guest's used ring: its index, and its entries' ids. */
const guest = (): number[] => [view.getUint16(HOST + USED + 2, true), ...Array.from({ length: SIZE }, (_, i) => view.getUint32(HOST + USED + 4 + 8 * i, true))];

test('entries are copied, and writable buffers logged, of chains and of indirect tables', () => {
  covers('3.1.13');
  describeAt(DESC, 0, 0x5000, 100, VRING_DESC_F_NEXT, 1);
  describeAt(DESC, 1, 0x6000, 200, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
  describeAt(DESC, 2, 0x7000, 300, VRING_DESC_F_WRITE);
  describeAt(DESC, 5, TABLE, 2 * vring_desc.size, VRING_DESC_F_INDIRECT);
  describeAt(TABLE, 0, 0x8000, 400, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
  describeAt(TABLE, 1, 0x9000, 500, VRING_DESC_F_WRITE);
  expect(relay()).toBe(0);
  expect(logged).toEqual([]);
  use(0);
  use(5);
  expect(relay()).toBe(2);
  expect(guest()).toEqual([2, 0, 5, 0, 0, 0, 0, 0, 0]);
  expect(logged).toEqual([[0x6000, 200], [0x7000, 300], [0x8000, 400], [0x9000, 500], [USED, 0]]);
  expect(relay()).toBe(0);
});

test('indexes wrap', () => {
  for (const at of [MEDIATED + 2, HOST + USED + 2]) view.setUint16(at, 0xfffe, true);
  for (const id of [1, 2, 3]) use(id);
  expect(relay()).toBe(3);
  expect(guest()).toEqual([1, 3, 0, 0, 0, 0, 0, 1, 2]);
});

test('a guest that breaks its ring after the device has used it gets its entries, and no loop', () => {
  describeAt(DESC, 0, 0x5000, 8, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
  describeAt(DESC, 1, 0x6000, 8, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0xffff);
  describeAt(DESC, 2, 0xffff_0000, 64, VRING_DESC_F_INDIRECT);
  for (const id of [0, 1, 2, 77]) use(id);
  expect(relay()).toBe(4);
  expect(logged.filter(([gpa]) => gpa === 0x5000)).toHaveLength(SIZE);
  expect(logged.filter(([gpa]) => gpa === 0x6000)).toHaveLength(1);
  view.setUint16(HOST + USED + 2, 0x4000, true);
  expect(relay()).toBe(SIZE);
  expect(guest()[0]).toBe(4);
});

test('nothing is touched of memory that was cut short', () => {
  use(0);
  cut = true;
  expect(relay()).toBe(0);
});

test('packed rings are refused', () => {
  covers('3.1.13');
  features = bits(VIRTIO_F_RING_PACKED);
  expect(relay).toThrow(expect.objectContaining({ errno: 'EOPNOTSUPP', rule: 'vhost_user.relay.packed' }));
});

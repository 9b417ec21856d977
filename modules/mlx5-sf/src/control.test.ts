import { covers } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { ALL, Bench, CONTROL, frame, PLAIN } from './testing/device.ts';
import { Failures } from './testing/failures.ts';
import { hardware, SF_MAC } from './testing/subfunction.ts';
import type { Vnet } from './vnet.ts';

const {
  VIRTIO_NET_CTRL_MAC: MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET: ADDR_SET, VIRTIO_NET_CTRL_MQ: MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET: PAIRS_SET,
  VIRTIO_NET_CTRL_VLAN: VLAN, VIRTIO_NET_CTRL_VLAN_ADD: VLAN_ADD, VIRTIO_NET_CTRL_VLAN_DEL: VLAN_DEL, VIRTIO_NET_OK: OK, VIRTIO_NET_ERR: ERR,
} = uapi;
const OTHER = [2, 0x77, 0, 0, 0, 1];
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const word = (n: number): Uint8Array => Uint8Array.of(n, n >>> 8);

/** Two pairs of queues, a control queue where the features put it. */
async function device(features: bigint, cvq: number, failures?: Failures) {
  const b = await Bench.boot(hardware(), failures === undefined ? {} : { wrap: failures.wrap });
  expect(await b.add((nla) => void nla.putU16(uapi.VDPA_ATTR_DEV_NET_CFG_MAX_VQP, 2))).toBe('ok');
  const rings = await b.start(features, cvq === 4 ? [2, 3, 4] : [cvq]);
  const control = rings.queues[cvq]!;
  return { b, rings, command: (kind: number, cmd: number, data: Uint8Array) => b.command(rings, control, kind, cmd, data) };
}

/** Whether a frame to an address arrives. */
async function arrives({ b, rings }: Pick<Awaited<ReturnType<typeof device>>, 'b' | 'rings'>, to: readonly number[], vid?: number): Promise<boolean> {
  await b.post(rings, 0, 3);
  await b.arrive(frame(to, 64, vid));
  const came = rings.used(rings.queues[0]!).length === 1;
  if (!came) await b.arrive(frame(BROADCAST)); // gives the buffer back
  if (!came) rings.used(rings.queues[0]!);
  return came;
}

test('a new address is in the configuration, in the L2 table and in the rules; the old one in none', async () => {
  covers('2.10.14', '2.10.16');
  const made = await device(CONTROL, 2);
  const { b, command } = made;
  expect([await arrives(made, SF_MAC), await arrives(made, OTHER), await arrives(made, BROADCAST)]).toEqual([true, false, true]);
  expect(await command(MAC, ADDR_SET, Uint8Array.from(OTHER))).toBe(OK);
  expect([await arrives(made, SF_MAC), await arrives(made, OTHER), [...b.vdev.config.get_config(b.vdev, 0, 6)]]).toEqual([false, true, OTHER]);
  const { l2 } = b.hardware.fn;
  expect([l2.size, l2.has(Uint8Array.from(OTHER), 0), (b.vdev.priv as Vnet).receive.rules]).toEqual([1, true, [`${OTHER.join(':')} untagged`]]);
  expect(await command(MAC, ADDR_SET, Uint8Array.from(OTHER))).toBe(OK); // it is that already
  expect(await command(MAC, ADDR_SET, new Uint8Array(6))).toBe(ERR);
  expect(await command(MAC, ADDR_SET, Uint8Array.of(1, 2, 3))).toBe(ERR);
  expect(await command(9, 9, word(1))).toBe(ERR);
  await b.finish(made.rings);
  await b.del();
  expect(b.hardware.fn.l2.size).toBe(0);
});

test('an address that cannot be set leaves the old one everywhere', async () => {
  covers('2.10.16');
  const failures = new Failures();
  const made = await device(CONTROL, 2, failures);
  const { b, command } = made;
  const failed: string[] = [];
  for (let at = 1; ; at++) {
    failures.left = at;
    const ack = await command(MAC, ADDR_SET, Uint8Array.from(OTHER));
    const where = failures.take();
    if (where === null) {
      expect(ack).toBe(OK);
      break;
    }
    failed.push(where);
    expect([where, ack, await arrives(made, SF_MAC), await arrives(made, OTHER), b.hardware.fn.l2.size]).toEqual([where, ERR, true, false, 1]);
  }
  expect(failed).toEqual(['mlx5_mpfs_add_mac', 'mlx5_add_flow_rules', 'mlx5_add_flow_rules']);
  await b.finish(made.rings);
  await b.del();
});

test('queue pairs: one at first, as many as the driver says, within the limit', async () => {
  covers('2.10.14', '2.10.15');
  const made = await device(ALL, 4);
  const { b, rings, command } = made;
  for (const q of [0, 2]) for (let i = 0; i < 8; i++) await b.post(rings, q, i);
  const spread = async (): Promise<[number, number]> => {
    for (let i = 0; i < 6; i++) {
      const bytes = frame(SF_MAC);
      bytes[11] = i; // another sender, another flow
      await b.arrive(bytes);
    }
    return [rings.used(rings.queues[0]!).length, rings.used(rings.queues[2]!).length];
  };
  expect(await spread()).toEqual([6, 0]);
  expect(await command(MQ, PAIRS_SET, word(2))).toBe(OK);
  for (let i = 0; i < 6; i++) await b.post(rings, 0, 20 + i);
  const [first, second] = await spread();
  expect([first + second, first > 0, second > 0]).toEqual([6, true, true]);
  expect([await command(MQ, PAIRS_SET, word(3)), await command(MQ, PAIRS_SET, word(0)), await command(MQ, PAIRS_SET, Uint8Array.of(1))]).toEqual([ERR, ERR, ERR]);
  expect(await command(MQ, PAIRS_SET, word(1))).toBe(OK);
  for (let i = 0; i < 6; i++) await b.post(rings, 0, 30 + i);
  expect(await spread()).toEqual([6, 0]);
  await b.finish(rings);
  await b.del();
});

test('without MQ the control queue is the third, and pairs cannot be switched', async () => {
  covers('2.10.15');
  const made = await device(CONTROL, 2);
  const { vdev } = made.b;
  expect([0, 1, 2].map((q) => vdev.config.get_vq_group!(vdev, q))).toEqual([0, 0, 1]);
  expect(await made.command(MQ, PAIRS_SET, word(1))).toBe(ERR);
  await made.b.finish(made.rings);
  const refused = async (features: bigint) => await made.b.run(() => vdev.config.set_driver_features(vdev, features).then(() => 'ok', (error: { errno: string }) => error.errno));
  expect([await refused(PLAIN | uapi.bit(uapi.VIRTIO_NET_F_MQ)), await refused(uapi.bit(uapi.VIRTIO_F_VERSION_1)), await refused(ALL)]).toEqual(['EINVAL', 'EOPNOTSUPP', 'ok']);
  expect([2, 4].map((q) => vdev.config.get_vq_group!(vdev, q))).toEqual([0, 1]);
  await made.b.del();
});

test('tagged frames arrive from VLANs that were added, and untagged ones always', async () => {
  covers('2.10.14', '2.10.16');
  const made = await device(ALL, 4);
  const { b, command } = made;
  expect([await arrives(made, SF_MAC), await arrives(made, SF_MAC, 100)]).toEqual([true, false]);
  expect([await command(VLAN, VLAN_ADD, word(100)), await command(VLAN, VLAN_ADD, word(100))]).toEqual([OK, ERR]);
  expect([await arrives(made, SF_MAC), await arrives(made, SF_MAC, 100), await arrives(made, SF_MAC, 101), await arrives(made, OTHER, 100)]).toEqual([true, true, false, false]);
  expect(await command(VLAN, VLAN_DEL, word(100))).toBe(OK);
  expect(await arrives(made, SF_MAC, 100)).toBe(false);
  await b.finish(made.rings);
  await b.del();
});

test('without CTRL_VLAN tags do not matter, and commands about them fail', async () => {
  const made = await device(CONTROL, 2);
  expect([await arrives(made, SF_MAC, 100), await made.command(VLAN, VLAN_ADD, word(5)), await made.command(VLAN, VLAN_DEL, word(5))]).toEqual([true, ERR, ERR]);
  await made.b.finish(made.rings);
  await made.b.del();
});

test('a command whose memory is out of reach, or that says too little, changes nothing; the device goes on', async () => {
  const made = await device(CONTROL, 2);
  const { b, rings, command } = made;
  const control = rings.queues[2]!;
  const ack = rings.take(1);
  const head = rings.take(2);
  rings.bytes.set([MAC, ADDR_SET], head);
  const give = async (read: readonly (readonly [number, number])[]): Promise<readonly (readonly [number, number])[]> => {
    await b.run(async () => void rings.give(control, read, [[ack, 1]], 8));
    await b.kernel.settle();
    return rings.used(control);
  };
  expect(await give([[head, 1]])).toEqual([]); // no whole head: Linux does not answer it
  expect([await give([[head, 2]]), rings.bytes[ack]]).toEqual([[[8, 1]], ERR]); // no address
  expect(await command(MAC, ADDR_SET, Uint8Array.from(OTHER))).toBe(OK);
  expect([await give([[head, 2], [0x1000_0000, 6]]), rings.bytes[ack]]).toEqual([[[8, 1]], ERR]); // no such memory
  expect([await arrives(made, OTHER), [...b.vdev.config.get_config(b.vdev, 0, 6)]]).toEqual([true, OTHER]);
  await b.finish(rings);
  const again = await b.start(CONTROL, [2]);
  expect(await b.command(again, again.queues[2]!, MAC, ADDR_SET, Uint8Array.from(SF_MAC))).toBe(OK);
  await b.finish(again);
  await b.del();
});

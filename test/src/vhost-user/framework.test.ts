/** What the library asks of a driver, heard by one that does nothing else. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLab } from '@vdpalab/lab';
import { hostAvailable } from '@vdpalab/libc';
import { covers } from '@vdpalab/testing';
import { VIRTIO_F_VERSION_1 } from '@vdpalab/uapi';
import {
  bits, encodeU64, FrontEndNet, RteVhost, VdpaRegistry, VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_GET_CONFIG, VHOST_USER_GET_INFLIGHT_FD,
  VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD, VHOST_USER_PROTOCOL_F_RARP, VHOST_USER_PROTOCOL_F_REPLY_ACK, VHOST_USER_SEND_RARP, VHOST_USER_SET_CONFIG,
  type RteVdpaDevice, type RteVdpaDevOps,
} from '@vdpalab/vhost-user';
import { describe, expect, test } from 'vitest';

/** A library with one scripted device behind a socket, and what its driver was asked. */
async function scripted(more: Partial<RteVdpaDevOps> = {}): Promise<{
  readonly vhost: RteVhost; readonly device: RteVdpaDevice; readonly asked: string[]; readonly path: string; readonly closed: Promise<void>;
  readonly rules: () => readonly string[]; readonly close: () => Promise<string[]>;
}> {
  const lab = await createLab({ config: { memory: '16M' }, clock: 'paced' });
  const p = await lab.process('vhost-user');
  const folder = mkdtempSync(join(tmpdir(), 'framework-'));
  const path = join(folder, 's');
  const asked: string[] = [];
  let gone = (): void => undefined;
  const closed = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const hear = (what: string) => async (): Promise<void> => void asked.push(what);
  const ops: RteVdpaDevOps = {
    get_queue_num: () => 1,
    get_features: () => bits(VIRTIO_F_VERSION_1, VHOST_USER_F_PROTOCOL_FEATURES),
    get_protocol_features: () => ~0n,
    dev_conf: hear('dev_conf'), dev_close: hear('dev_close'), set_vring_state: hear('set_vring_state'), set_features: hear('set_features'),
    migration_done: hear('migration_done'),
    dev_cleanup: async () => {
      asked.push('dev_cleanup');
      gone();
    },
    ...more,
  };
  const device = new VdpaRegistry().rte_vdpa_register_device('scripted', ops)!;
  const vhost = await lab.as(p, async () => {
    const library = new RteVhost(lab, p);
    library.rte_vhost_driver_register(path);
    library.rte_vhost_driver_attach_vdpa_device(path, device);
    library.rte_vhost_driver_start(path);
    return library;
  });
  const events = lab.start(p, 'vhost-events', () => vhost.run());
  return {
    vhost, device, asked, path, closed,
    rules: () => lab.refusals.refusals.map(({ error }) => error.rule),
    close: async () => {
      vhost.close();
      await lab.as(p, () => lab.hw.sched.join(events));
      await lab.exitProcess(p);
      rmSync(folder, { recursive: true });
      return await lab.close();
    },
  };
}

/** A configuration message: offset, size, flags, contents. */
function configOf(offset: number, bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(offset, 0, 0, 0, bytes.length, 0, 0, 0, 0, 0, 0, 0, ...bytes);
}

describe.runIf(hostAvailable())('a vDPA driver', () => {
  test('hears of the end of a migration, and when the connection has gone', async () => {
    covers('3.1.5', '3.1.8', '3.1.12');
    const { asked, path, closed, device, close } = await scripted();
    expect(device.type).toBe('net');
    const front = new FrontEndNet(path);
    await front.negotiate();
    await front.start();
    expect(await front.client.ack(VHOST_USER_SEND_RARP, encodeU64(0x5254_0000_0001n))).toBe(0n);
    await front.stop();
    expect(asked).toEqual(['set_features', 'dev_conf', 'migration_done', 'dev_close']);
    front.close();
    await closed;
    expect(asked.slice(4)).toEqual(['dev_cleanup']);
    expect(await close()).toEqual([]);
  });

  test('may have a configuration space that the front-end reads and writes', async () => {
    covers('3.1.12');
    const space = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const { path, closed, device, rules, close } = await scripted({
      get_dev_type: () => 'blk',
      get_config: async (_vid, offset, length) => space.slice(offset, offset + length),
      set_config: async (_vid, offset, bytes) => space.set(bytes, offset),
    });
    expect(device.type).toBe('blk');
    const front = new FrontEndNet(path);
    await front.negotiate();
    const read = async (offset: number, length: number): Promise<Uint8Array> => (await front.client.ask(VHOST_USER_GET_CONFIG, configOf(offset, new Uint8Array(length)))).payload.slice(12);
    expect(await read(2, 3)).toEqual(Uint8Array.of(3, 4, 5));
    expect(await front.client.ack(VHOST_USER_SET_CONFIG, configOf(3, Uint8Array.of(40, 50)))).toBe(0n);
    expect(await read(0, 8)).toEqual(Uint8Array.of(1, 2, 3, 40, 50, 6, 7, 8));
    expect(rules()).toEqual([]);
    front.close();
    await closed;
    expect(await close()).toEqual([]);
  });

  test('without a configuration space, the front-end is told so', async () => {
    covers('3.1.12');
    const { path, closed, rules, close } = await scripted();
    const front = new FrontEndNet(path);
    await front.negotiate();
    expect(await front.client.ack(VHOST_USER_SET_CONFIG, configOf(0, Uint8Array.of(1)))).toBe(1n);
    expect(rules()).toEqual(['vhost_user.config']);
    front.close();
    await closed;
    expect(await close()).toEqual([]);
  });

  test('limits what is offered, as the library does: an inflight region is never', async () => {
    covers('3.1.2', '3.2.8');
    const { vhost, path, closed, rules, close } = await scripted();
    expect(vhost.rte_vhost_driver_get_protocol_features(path) & bits(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)).toBe(0n);
    vhost.rte_vhost_driver_set_protocol_features(path, bits(VHOST_USER_PROTOCOL_F_REPLY_ACK, VHOST_USER_PROTOCOL_F_RARP));
    const front = new FrontEndNet(path);
    await front.negotiate();
    expect(front.protocolFeatures).toBe(bits(VHOST_USER_PROTOCOL_F_REPLY_ACK, VHOST_USER_PROTOCOL_F_RARP));
    expect(await front.client.ack(VHOST_USER_GET_INFLIGHT_FD, new Uint8Array(24))).toBe(1n);
    expect(await front.client.ack(VHOST_USER_GET_CONFIG, configOf(0, Uint8Array.of(0)))).toBe(1n);
    expect(rules()).toEqual(['vhost_user.request.unknown', 'vhost_user.request.feature']);
    front.close();
    await closed;
    expect(await close()).toEqual([]);
  });

  test('has one socket, and a socket one device', async () => {
    covers('3.1.14');
    const { vhost, path, device, close } = await scripted();
    const other = new VdpaRegistry().rte_vdpa_register_device('other', device.ops)!;
    expect(() => vhost.rte_vhost_driver_attach_vdpa_device(path, other)).toThrow(expect.objectContaining({ errno: 'EBUSY', rule: 'vhost_user.socket.attached' }));
    vhost.rte_vhost_driver_register(`${path}2`);
    expect(() => vhost.rte_vhost_driver_attach_vdpa_device(`${path}2`, device)).toThrow(expect.objectContaining({ errno: 'EBUSY', rule: 'vhost_user.device.attached' }));
    expect(() => vhost.rte_vhost_driver_start(`${path}2`)).toThrow(expect.objectContaining({ errno: 'ENODEV' }));
    vhost.rte_vhost_driver_attach_vdpa_device(`${path}2`, other);
    vhost.rte_vhost_driver_detach_vdpa_device(path);
    expect(vhost.rte_vhost_driver_get_vdpa_device(path)).toBeNull();
    expect(await close()).toEqual([]);
  });
});

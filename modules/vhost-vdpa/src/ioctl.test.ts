import { covers, FAKE_PARENT, VdpaTool, VhostFile } from '@vdpalab/testing';
import { EFD_NONBLOCK, VHOST_GET_BACKEND_FEATURES, VHOST_GET_FEATURES } from '@vdpalab/uapi';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { IommuDomain } from '@vdpalab/iommu';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import { iovaRange } from './domain.ts';
import { bootVhost } from './testing/kernel.ts';

test('the calls that need no owner answer as the recorded kernel did', async () => {
  covers('2.4.7', '2.4.11', '2.4.14');
  const kernel = await bootVhost();
  await kernel.withFile(async (f) => {
    expect(await f.get(uapi.VHOST_VDPA_GET_DEVICE_ID, 4)).toBe(1n);
    expect(await f.get(uapi.VHOST_VDPA_GET_STATUS, 1)).toBe(0n);
    expect(await f.get(VHOST_GET_FEATURES, 8)).toBe(0x3_0882_0028n);
    expect(await f.get(uapi.VHOST_VDPA_GET_VRING_NUM, 2)).toBe(256n);
    expect(await f.get(uapi.VHOST_VDPA_GET_VQS_COUNT, 4)).toBe(3n);
    expect(await f.get(uapi.VHOST_VDPA_GET_CONFIG_SIZE, 4)).toBe(24n);
    expect(await f.get(uapi.VHOST_VDPA_GET_GROUP_NUM, 4)).toBe(2n);
    expect(await f.get(uapi.VHOST_VDPA_GET_AS_NUM, 4)).toBe(2n);
    expect(await f.get(VHOST_GET_BACKEND_FEATURES, 8)).toBe(0x1en);
    expect(await f.set(uapi.VHOST_SET_FEATURES, 8, 0x3_0000_0028n)).toBe(0);
    expect(await f.ioctl(uapi.VHOST_VDPA_SUSPEND)).toBe(0);
    for (const cmd of [
      uapi.VHOST_VDPA_GET_DEVICE_ID, uapi.VHOST_VDPA_GET_STATUS, uapi.VHOST_VDPA_SET_STATUS, VHOST_GET_FEATURES, uapi.VHOST_VDPA_GET_CONFIG,
      uapi.VHOST_VDPA_GET_VRING_NUM, uapi.VHOST_VDPA_GET_VQS_COUNT, uapi.VHOST_VDPA_GET_CONFIG_SIZE, uapi.VHOST_VDPA_GET_GROUP_NUM,
      uapi.VHOST_VDPA_GET_AS_NUM, uapi.VHOST_VDPA_GET_IOVA_RANGE, VHOST_GET_BACKEND_FEATURES, uapi.VHOST_SET_BACKEND_FEATURES,
      uapi.VHOST_VDPA_SET_CONFIG_CALL,
    ]) expect(await f.raw(cmd, 0x10)).toBe('EFAULT');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('everything else needs the owner, and only one process is it', async () => {
  covers('2.4.6', '2.4.28');
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.withFile(async (f, proc) => {
    const refused = [
      await f.vring(uapi.VHOST_SET_VRING_NUM, 0, 64), await f.vring(uapi.VHOST_GET_VRING_BASE, 0),
      await f.vring(uapi.VHOST_VDPA_SET_VRING_ENABLE, 0, 1), await f.vring(uapi.VHOST_VDPA_GET_VRING_GROUP, 3),
      await f.ioctl(uapi.VHOST_RESET_OWNER), await f.ioctl(uapi.VHOST_SET_MEM_TABLE, new Uint8Array(8)),
      await f.raw(uapi._IO(0xaf, 0xf0), 0), await f.raw(uapi._IO(0x5a, 1), 0),
    ];
    expect(new Set(refused)).toEqual(new Set(['EPERM']));
    expect(await f.ioctl(uapi.VHOST_SET_LOG_BASE, new Uint8Array(8))).toBe('ENOTTY');
    expect(await f.ioctl(uapi.VHOST_SET_LOG_FD, new Uint8Array(4))).toBe('ENOTTY');
    expect(await f.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x1000n, 0x1000n, BigInt(f.scratch))).toBe('EFAULT');
    expect(await f.ioctl(uapi.VHOST_SET_OWNER)).toBe(0);
    expect(await f.ioctl(uapi.VHOST_SET_OWNER)).toBe('EBUSY');
    expect(await f.ioctl(uapi.VHOST_RESET_OWNER)).toBe('EFAULT');
    expect(await f.raw(uapi._IO(0xaf, 0xf0), f.scratch)).toBe('ENOTTY');
    const child = k.ksys_fork(proc, 'child');
    const other = await f.as(child);
    expect(await other.vring(uapi.VHOST_SET_VRING_NUM, 0, 64)).toBe('EPERM');
    expect(await other.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x1000n, 0x1000n, BigInt(other.scratch))).toBe('EFAULT');
    expect(await other.ioctl(uapi.VHOST_SET_OWNER)).toBe('EBUSY');
    expect(await other.get(uapi.VHOST_VDPA_GET_STATUS, 1)).toBe(0n);
    await k.process_exit(child);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('what came after 6.1 is an unknown command: EPERM for nobody\'s device, then as any number that is no queue\'s', async () => {
  const kernel = await bootVhost();
  await kernel.withFile(async (f) => {
    const later = [
      uapi.VHOST_SET_FORK_FROM_OWNER, uapi.VHOST_GET_FORK_FROM_OWNER, uapi.VHOST_SET_FEATURES_ARRAY, uapi.VHOST_GET_FEATURES_ARRAY,
      uapi.VHOST_NEW_WORKER, uapi.VHOST_FREE_WORKER, uapi.VHOST_ATTACH_VRING_WORKER, uapi.VHOST_GET_VRING_WORKER,
    ];
    for (const cmd of later) expect(await f.ioctl(cmd, new Uint8Array(16))).toBe('EPERM');
    await f.ioctl(uapi.VHOST_SET_OWNER);
    for (const cmd of later) {
      expect([await f.ioctl(cmd, new Uint8Array(16)), await f.ioctl(cmd, new Uint8Array(16).fill(0xff)), await f.raw(cmd, 0x10)])
        .toEqual(['ENOTTY', 'ENOBUFS', 'EFAULT']);
    }
  });
});

test('a legacy guest reads its configuration before it says anything: features become 0, the bytes are the host\'s order', async () => {
  covers('F24', '2.1.13');
  const legacy = 0x28n; // MAC and MTU; no VERSION_1, no ACCESS_PLATFORM
  const kernel = await bootVhost({ features: legacy });
  await kernel.withFile(async (f, _, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 3);
    kernel.parent.calls.take();
    const mtu = await f.config(uapi.VHOST_VDPA_GET_CONFIG, 10, 2);
    expect(kernel.parent.calls.take()).toEqual(['set_driver_features 0']); // the parent now knows it is legacy
    expect(mtu).toEqual(Uint8Array.of(0xdc, 0x05)); // 1500
    await f.config(uapi.VHOST_VDPA_GET_CONFIG, 0, 6);
    expect(kernel.parent.calls.take()).toEqual([]); // once
    expect(await f.set(uapi.VHOST_SET_FEATURES, 8, legacy)).toBe(0);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 7); // DRIVER_OK without FEATURES_OK, as before 1.0
    expect([device.driver_features, device.status]).toEqual([legacy, 7]);
    await f.config(uapi.VHOST_VDPA_GET_CONFIG, 0, 6);
    expect(device.driver_features).toBe(legacy);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0);
    await f.config(uapi.VHOST_VDPA_GET_CONFIG, 0, 6); // a reset makes it unknown again
    expect(device.driver_features).toBe(0n);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a parent that uses user addresses is bound to the memory of the owner, and let go at the close', async () => {
  const kernel = await bootVhost({ use_va: true, having: ['bind_mm', 'unbind_mm'] });
  await kernel.withFile(async (f, proc, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    expect(device.mm).toBe(proc.mm);
  });
  expect(kernel.parent.calls.take()).toContain('unbind_mm');
  const refusing = await bootVhost({ use_va: true, having: ['bind_mm', 'unbind_mm'], fails: { at: 2, errno: 'ENOMEM' } });
  await refusing.withFile(async (f, _, device) => {
    expect(await f.ioctl(uapi.VHOST_SET_OWNER)).toBe('ENOMEM');
    expect(await f.vring(uapi.VHOST_SET_VRING_NUM, 0, 64)).toBe('EPERM'); // nobody owns it
    expect(await f.ioctl(uapi.VHOST_SET_OWNER)).toBe(0);
    expect(device.mm).not.toBeNull();
  });
});

test('status bits are only added, or all cleared by 0, which is a reset', async () => {
  covers('2.4.8');
  const kernel = await bootVhost({ having: ['get_vq_irq'] });
  const { k } = kernel;
  await kernel.withFile(async (f, proc) => {
    const set = (status: number) => f.set(uapi.VHOST_VDPA_SET_STATUS, 1, status);
    const status = async () => Number(await f.get(uapi.VHOST_VDPA_GET_STATUS, 1));
    expect([await set(1), await status(), await set(3), await status()]).toEqual([0, 1, 0, 3]);
    expect([await set(1), await status(), await set(2), await set(3)]).toEqual(['EINVAL', 3, 'EINVAL', 0]);
    expect([await set(0xb), await status()]).toEqual([0, 0xb]);
    expect(await f.set(uapi.VHOST_SET_FEATURES, 8, 0x3_0000_0028n)).toBe('EBUSY');
    for (const straight of [0x04, 0x10, 0x40, 0x80, 0xff]) {
      expect([await set(0), await status(), await set(straight), await status()]).toEqual([0, 0, 0, straight]);
    }
    expect([await set(0xfe), await set(0)]).toEqual(['EINVAL', 0]);
    expect(kernel.parent.calls.take().filter((call) => call === 'reset').length).toBe(7); // with that of open

    // DRIVER_OK makes producers of the queues with an eventfd, and its end takes them back
    await f.ioctl(uapi.VHOST_SET_OWNER);
    const call = k.ksys_eventfd(proc, 0, EFD_NONBLOCK);
    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 1, call);
    const token = k.eventfd_ctx_fdget(proc, call);
    const seen: string[] = [];
    const consumer = {
      token, add_producer: async () => void seen.push('add'), del_producer: async () => void seen.push('del'),
    };
    await k.irq_bypass_register_consumer(consumer);
    await set(0xf);
    expect(seen).toEqual(['add']);
    await set(0);
    expect(seen).toEqual(['add', 'del']);
    await k.irq_bypass_unregister_consumer(consumer);
    k.eventfd_ctx_put(token);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a queue is a producer from DRIVER_OK on, and no longer once its eventfd changes, its status is cleared or the file is closed', async () => {
  covers('2.4.35');
  const kernel = await bootVhost({ having: ['get_vq_irq'] });
  const { k } = kernel;
  const seen: string[] = [];
  await kernel.user(async (watcher) => {
    const fds = [k.ksys_eventfd(watcher, 0, EFD_NONBLOCK), k.ksys_eventfd(watcher, 0, EFD_NONBLOCK)] as const;
    const tokens = fds.map((fd) => k.eventfd_ctx_fdget(watcher, fd));
    const consumers = tokens.map((token, i) => ({
      token,
      add_producer: async (p: { readonly irq: number }) => void seen.push(`add ${i} irq ${p.irq}`),
      del_producer: async () => void seen.push(`del ${i}`),
    }));
    for (const consumer of consumers) await k.irq_bypass_register_consumer(consumer);
    const tool = await VdpaTool.open(k, watcher);
    await tool.add('vdpa0', FAKE_PARENT);
    const f = await VhostFile.open(k, watcher, '/dev/vhost-vdpa-0');
    await f.ioctl(uapi.VHOST_SET_OWNER);
    expect(await f.vringFile(uapi.VHOST_SET_VRING_CALL, 0, fds[0])).toBe(0);
    expect(seen.splice(0)).toEqual([]); // not before DRIVER_OK
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 4);
    expect(seen.splice(0)).toEqual(['add 0 irq 40']);
    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 0, fds[1]);
    expect(seen.splice(0)).toEqual(['del 0', 'add 1 irq 40']);
    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 0, -1);
    expect(seen.splice(0)).toEqual(['del 1']);
    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 0, fds[0]);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0);
    expect(seen.splice(0)).toEqual(['add 0 irq 40', 'del 0']);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 4);
    await f.close();
    expect(seen.splice(0)).toEqual(['add 0 irq 40', 'del 0']);
    for (const consumer of consumers) await k.irq_bypass_unregister_consumer(consumer);
    for (const token of tokens) k.eventfd_ctx_put(token);
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('features are taken until FEATURES_OK, as far as the parent takes them', async () => {
  covers('2.4.20');
  const kernel = await bootVhost();
  await kernel.withFile(async (f, _, device) => {
    const set = (features: bigint) => f.set(uapi.VHOST_SET_FEATURES, 8, features);
    expect([await set(0n), await set(0x3_0000_0028n), await set(0x1_0000_0000n), await set(0x2_0000_0000n), await set(0xffff_ffff_ffff_ffffn)])
      .toEqual(['EINVAL', 0, 'EINVAL', 0, 0]);
    expect(await f.get(VHOST_GET_FEATURES, 8)).toBe(0x3_0882_0028n);
    expect(device.driver_features).toBe(0x3_0882_0028n);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0xb);
    expect([await set(0x3_0000_0028n), await set(0n)]).toEqual(['EBUSY', 'EBUSY']);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0);
    expect(await set(0x3_0000_0028n)).toBe(0);
  });
});

test('backend features not offered are refused, and what the parent can do adds to them', async () => {
  covers('2.4.21', '2.4.22');
  const kernel = await bootVhost();
  await kernel.withFile(async (f) => {
    const set = (features: bigint) => f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, features);
    for (const ok of [0n, 2n, 4n, 8n, 0x10n, 0x1en]) expect(await set(ok)).toBe(0);
    for (const bad of [1n, 0x20n, 0x40n, 0x80n, 0x100n, 0xffff_ffff_ffff_ffffn]) expect(await set(bad)).toBe('EOPNOTSUPP');
  });
  const bare = await bootVhost({ lacking: ['suspend'] });
  await bare.withFile(async (f) => {
    expect(await f.get(VHOST_GET_BACKEND_FEATURES, 8)).toBe(0xen);
    expect(await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, 0x1e)).toBe('EOPNOTSUPP');
  });
  const later = await bootVhost({ having: ['resume', 'get_vq_desc_group', 'reset_map', 'get_backend_features'] });
  await later.withFile(async (f) => {
    expect(await f.get(VHOST_GET_BACKEND_FEATURES, 8)).toBe(0x1fen);
    expect(await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, 0x1fe)).toBe(0);
    expect(await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, 0x80)).toBe('EINVAL'); // DESC_ASID without IOTLB_ASID
  });
});

test('configuration is read and written inside its size', async () => {
  covers('2.4.9');
  const kernel = await bootVhost();
  await kernel.withFile(async (f, _, device) => {
    const get = (off: number, len: number) => f.config(uapi.VHOST_VDPA_GET_CONFIG, off, len);
    const put = (off: number, len: number, byte: number) => f.config(uapi.VHOST_VDPA_SET_CONFIG, off, len, new Uint8Array(Math.min(len, 64)).fill(byte));
    expect([...await get(0, 6)]).toEqual([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    expect([...await get(10, 2)]).toEqual([0xdc, 5]);
    expect(await get(0, 24)).toHaveLength(24);
    expect([...await get(23, 1)]).toEqual([0]);
    for (const [off, len] of [[0, 0], [0, 25], [24, 1], [24, 0], [25, 1], [20, 5], [0, 65_536], [0xffff_ffff, 1], [4, 0xffff_ffff]] as const) {
      expect(await get(off, len)).toBe('EINVAL');
    }
    expect(await put(0, 1, 0xaa)).not.toBe('EINVAL');
    expect([...await get(0, 2)]).toEqual([0xaa, 0x54]);
    for (const [off, len] of [[0, 0], [24, 1], [20, 5], [0xffff_ffff, 1], [0, 65_536]] as const) expect(await put(off, len, 1)).toBe('EINVAL');
    expect(device.config[0]).toBe(0xaa);
  });
});

test('GET_IOVA_RANGE gives the parent\'s range, else the aperture of the domain, else all 64 bits', async () => {
  const kernel = await bootVhost();
  await kernel.withFile(async (f, proc) => {
    expect(await f.ioctl(uapi.VHOST_VDPA_GET_IOVA_RANGE, new Uint8Array(16))).toBe(0);
    expect(uapi.vhost_vdpa_iova_range.decode(proc.mm.read(f.scratch, 16))).toEqual({ first: 0n, last: 0xffff_ffff_ffff_ffffn });
  });
  const vdev = (config: object) => ({ config }) as VdpaDevice; // only the op is looked at
  const domain: IommuDomain = { type: 'unmanaged', table: null, aperture_end: 0x7f_ffff_ffff, force_aperture: true, mapped: 0, pgsize_bitmap: 0x1000n };
  expect(iovaRange(vdev({ get_iova_range: () => ({ first: 5n, last: 9n }) }), domain)).toEqual({ first: 5n, last: 9n });
  expect(iovaRange(vdev({}), domain)).toEqual({ first: 0n, last: 0x7f_ffff_ffffn });
  expect(iovaRange(vdev({}), { ...domain, force_aperture: false })).toEqual({ first: 0n, last: 0xffff_ffff_ffff_ffffn });
  expect(iovaRange(vdev({}), null)).toEqual({ first: 0n, last: 0xffff_ffff_ffff_ffffn });
});

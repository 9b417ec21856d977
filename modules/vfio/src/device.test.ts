import { isKernelError, type KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { bootBuiltins, covers, type BootedKernel } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { describe, expect, test } from 'vitest';
import type { VfioDevice, VfioDeviceOps, VfioIommuDriverOps } from './header.ts';

const { O_RDWR, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS } = uapi;
const BAD = 0x10; // nothing is mapped there

async function outcome<T>(call: () => Promise<T>): Promise<T | string> {
  try {
    return await call();
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
}

/** A backend for POWER's IOMMU that maps nothing, and pins nothing for drivers. */
const spapr: VfioIommuDriverOps = {
  name: 'vfio-iommu-spapr-tce', owner: null,
  open: async () => ({}),
  release: async () => undefined,
  ioctl: async (_, cmd, arg) => (cmd === uapi.VFIO_CHECK_EXTENSION && arg === uapi.VFIO_SPAPR_TCE_IOMMU ? 1 : 0),
  attach_group: async () => undefined,
  detach_group: async () => undefined,
};

/** A device that is open. */
interface Open {
  readonly k: KernelSymbols;
  readonly proc: Process;
  readonly vdev: VfioDevice;
  readonly group: number;
  readonly container: number;
  readonly fd: number;
  readonly at: number;
  readonly ioctl: (cmd: number, bytes: Uint8Array) => Promise<Uint8Array>;
}

/** Run with `toy0` open under the stub; nothing may be left. */
async function withDevice(ops: Partial<VfioDeviceOps>, body: (o: Open, kernel: BootedKernel) => Promise<void>, prepare: (vdev: VfioDevice) => void = () => undefined): Promise<void> {
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu', 'vfio']);
  const { k } = kernel;
  await kernel.user(async (proc) => {
    k.vfio_register_iommu_driver(spapr);
    const dev = k.device_initialize({ name: 'toy0' });
    await k.device_add(dev);
    const vdev = await k._vfio_alloc_device(dev, { name: 'toy', ...ops }, null);
    prepare(vdev);
    await k.vfio_register_emulated_iommu_dev(vdev);
    const at = await k.ksys_mmap(proc, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const container = await k.ksys_open(proc, '/dev/vfio/vfio', O_RDWR);
    const group = await k.ksys_open(proc, '/dev/vfio/0', O_RDWR);
    proc.mm.write(at, Uint8Array.of(container, 0, 0, 0));
    await k.ksys_ioctl(proc, group, uapi.VFIO_GROUP_SET_CONTAINER, at);
    await k.ksys_ioctl(proc, container, uapi.VFIO_SET_IOMMU, uapi.VFIO_SPAPR_TCE_IOMMU);
    proc.mm.write(at, Uint8Array.from([...'toy0\0'], (c) => c.charCodeAt(0)));
    const fd = await k.ksys_ioctl(proc, group, uapi.VFIO_GROUP_GET_DEVICE_FD, at);
    await body({
      k, proc, vdev, group, container, fd, at,
      async ioctl(cmd, bytes) {
        proc.mm.write(at, bytes);
        await k.ksys_ioctl(proc, fd, cmd, at);
        return proc.mm.read(at, bytes.length);
      },
    }, kernel);
    for (const file of [fd, group, container]) await k.ksys_close(proc, file);
    await k.vfio_unregister_group_dev(vdev);
    k.put_device(vdev.device);
    await k.device_unregister(dev);
    k.vfio_unregister_iommu_driver(spapr);
  });
  expect(kernel.leftovers()).toEqual([]);
}

/** The argument of VFIO_DEVICE_FEATURE. */
function featureArg(flags: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + data.length);
  bytes.set(uapi.vfio_device_feature.encode({ argsz: bytes.length, flags }));
  bytes.set(data, 8);
  return bytes;
}

describe('a device', () => {
  test('of a driver without ops answers nothing, and a backend without pinning pins nothing', () => {
    covers('1.7.16', '1.7.35', '1.7.36');
    return withDevice({}, async ({ k, proc, vdev, fd }) => {
      expect(await outcome(() => k.ksys_pread(proc, fd, 4, 0))).toBe('EINVAL');
      expect(await outcome(() => k.ksys_pwrite(proc, fd, Uint8Array.of(0), 0))).toBe('EINVAL');
      expect(await outcome(() => k.ksys_ioctl(proc, fd, uapi.VFIO_DEVICE_GET_INFO, 0))).toBe('EINVAL');
      expect(await outcome(() => k.ksys_mmap(proc, 0, 4096, PROT_READ, uapi.MAP_SHARED, fd, 0))).toBe('EINVAL');
      expect(await outcome(() => k.vfio_pin_pages(vdev, 0, 1, 1))).toBe('ENOTTY');
      expect(await outcome(() => k.vfio_dma_rw(vdev, 0, new Uint8Array(1), false))).toBe('ENOTTY');
      expect(await outcome(() => k.vfio_pin_user_pfns(vdev.dev, [0], 1, 1, []))).toBe('ENOTTY');
    });
  });

  test('has a name shorter than a page, and only its backend once', () => withDevice({}, async ({ k, proc, vdev, group, at }) => {
    proc.mm.write(at, new Uint8Array(4096).fill(0x78));
    expect(await outcome(() => k.ksys_ioctl(proc, group, uapi.VFIO_GROUP_GET_DEVICE_FD, at))).toBe('EINVAL');
    expect(await outcome(async () => k.vfio_register_iommu_driver(spapr))).toBe('EINVAL');
    const stranger = k.device_initialize({ name: 'toy1' });
    expect(await outcome(() => k.vfio_pin_user_pfns(stranger, [0], 1, 1, []))).toBe('EINVAL'); // not registered
    k.put_device(stranger);
    expect(vdev.open_count).toBe(1);
  }));

  test('hears of its first open and its last close only', () => {
    covers('1.7.11');
    const calls: string[] = [];
    return withDevice({ open_device: async () => void calls.push('open'), close_device: async () => void calls.push('close') }, async ({ k, proc, vdev, group, fd, at }) => {
      proc.mm.write(at, Uint8Array.from([...'toy0\0'], (c) => c.charCodeAt(0)));
      const second = await k.ksys_ioctl(proc, group, uapi.VFIO_GROUP_GET_DEVICE_FD, at);
      expect([calls, vdev.open_count, k.vfio_device_set_open_count(vdev.dev_set!)]).toEqual([['open'], 2, 2]);
      await k.ksys_close(proc, second);
      expect([calls, vdev.open_count, fd >= 0]).toEqual([['open'], 1, true]);
    }).then(() => expect(calls).toEqual(['open', 'close']));
  });

  test('is known by its group\'s file', () => withDevice({}, async ({ k, proc, vdev, group, container }) => {
    const [mine, other] = [k.fget(proc, group), k.fget(proc, container)];
    expect([k.vfio_file_is_group(mine), k.vfio_file_is_group(other), k.vfio_file_has_dev(mine, vdev), k.vfio_file_has_dev(other, vdev)]).toEqual([true, false, true, false]);
    expect([k.vfio_file_iommu_group(mine), k.vfio_file_iommu_group(other), k.vfio_file_enforced_coherent(mine)]).toEqual([vdev.dev.iommu_group, null, true]);
    k.vfio_file_set_kvm(mine, 'a virtual machine');
    await k.fput(mine);
    await k.fput(other);
  }));

  test('that migrates tells its states, steps through them, and gives a descriptor where one goes along', () => {
    covers('2.13.6', '2.13.9');
    const { VFIO_DEVICE_STATE_RUNNING: RUNNING, VFIO_DEVICE_STATE_STOP: STOP, VFIO_DEVICE_STATE_STOP_COPY: STOP_COPY, VFIO_DEVICE_STATE_ERROR: ERROR } = uapi;
    let state: number = RUNNING;
    const way: number[] = [];
    let kernel: KernelSymbols | null = null;
    const state16 = (device_state: number): Uint8Array => uapi.vfio_device_feature_mig_state.encode({ device_state, data_fd: 77 });
    const SET = uapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | uapi.VFIO_DEVICE_FEATURE_SET;
    const GET = uapi.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | uapi.VFIO_DEVICE_FEATURE_GET;
    return withDevice({}, async ({ k, ioctl }) => {
      kernel = k;
      const feature = async (flags: number, data: Uint8Array): Promise<unknown> => outcome(async () => (await ioctl(uapi.VFIO_DEVICE_FEATURE, featureArg(flags, data))).slice(8));
      const told = await feature(uapi.VFIO_DEVICE_FEATURE_MIGRATION | uapi.VFIO_DEVICE_FEATURE_GET, new Uint8Array(8));
      expect([...(told as Uint8Array)]).toEqual([uapi.VFIO_MIGRATION_STOP_COPY, 0, 0, 0, 0, 0, 0, 0]);
      expect(await feature(uapi.VFIO_DEVICE_FEATURE_MIGRATION | uapi.VFIO_DEVICE_FEATURE_SET, new Uint8Array(8))).toBe('EINVAL');
      expect(await feature(uapi.VFIO_DEVICE_FEATURE_MIGRATION, new Uint8Array(8))).toBe('EINVAL');
      expect(await feature(uapi.VFIO_DEVICE_FEATURE_MIGRATION | uapi.VFIO_DEVICE_FEATURE_GET, new Uint8Array(4))).toBe('EINVAL');
      const answer = async (flags: number, wanted: number): Promise<unknown> => {
        const bytes = await feature(flags, state16(wanted));
        return typeof bytes === 'string' ? bytes : uapi.vfio_device_feature_mig_state.decode(bytes as Uint8Array);
      };
      expect(await answer(GET, 0)).toEqual({ device_state: RUNNING, data_fd: -1 });
      expect(await answer(SET, STOP_COPY)).toMatchObject({ device_state: STOP_COPY, data_fd: expect.toSatisfy((fd: number) => fd > 0 && fd !== 77) });
      expect(way).toEqual([STOP, STOP_COPY]);
      expect(await answer(SET, ERROR)).toBe('EINVAL');
      expect(await answer(SET, 99)).toBe('EINVAL');
      expect(await answer(SET, RUNNING)).toEqual({ device_state: RUNNING, data_fd: -1 });
    }, (vdev) => {
      vdev.migration_flags = uapi.VFIO_MIGRATION_STOP_COPY;
      vdev.mig_ops = {
        async migration_set_state(_, wanted, proc) {
          let fd = -1;
          while (state !== wanted) {
            state = kernel!.vfio_mig_get_next_state(vdev, state, wanted);
            way.push(state);
            if (state === STOP_COPY) fd = kernel!.anon_inode_getfd(proc, 'toy', {}, null, 0);
          }
          return fd;
        },
        migration_get_state: async () => state,
      };
    });
  });

  test('that logs its DMA is given ranges that make sense, and reports into the caller\'s bitmap', () => {
    covers('2.13.11');
    const started: string[] = [];
    const START = uapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_START | uapi.VFIO_DEVICE_FEATURE_SET;
    const REPORT = uapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | uapi.VFIO_DEVICE_FEATURE_GET;
    return withDevice({}, async ({ proc, at, ioctl }) => {
      const start = (ranges: readonly (readonly [bigint, bigint])[], page_size = 4096n, count = ranges.length): Promise<unknown> => outcome(async () => {
        ranges.forEach(([iova, length], i) => proc.mm.write(at + 4096 + i * 16, uapi.vfio_device_feature_dma_logging_range.encode({ iova, length })));
        const data = uapi.vfio_device_feature_dma_logging_control.encode({ page_size, num_ranges: count, ranges: BigInt(at + 4096) });
        return uapi.vfio_device_feature_dma_logging_control.decode((await ioctl(uapi.VFIO_DEVICE_FEATURE, featureArg(START, data))).slice(8)).page_size;
      });
      expect(await start([])).toBe('EINVAL');
      expect(await start([], 4096n, 257)).toBe('E2BIG');
      expect(await start([[0x1001n, 0x1000n]])).toBe('EINVAL');
      expect(await start([[0x1000n, 0x1000n], [0x1000n, 0x2000n]])).toBe('EINVAL');
      expect(await start([[(1n << 64n) - 4096n, 0x2000n]])).toBe('EOVERFLOW');
      expect(started).toEqual([]);
      expect(await start([[0x1000n, 0x1000n], [0x8000n, 0x8000n]])).toBe(8192n); // the device's own
      expect(started).toEqual(['start 4096: 1000+1000 8000+8000']);
      const report = (page_size: bigint, bitmap = BigInt(at + 4096)): Promise<unknown> => outcome(async () => {
        const data = uapi.vfio_device_feature_dma_logging_report.encode({ iova: 0x8000n, length: 0x8000n, page_size, bitmap });
        await ioctl(uapi.VFIO_DEVICE_FEATURE, featureArg(REPORT, data));
        return proc.mm.read(at + 4096, 1)[0];
      });
      proc.mm.write(at + 4096, new Uint8Array(8).fill(0x80, 0, 1));
      expect(await report(4096n)).toBe(0b1000_0110); // bits that were set stay
      expect([await report(1024n), await report(12288n), await report(4096n, BigInt(BAD))]).toEqual(['EINVAL', 'EINVAL', 'EFAULT']);
      await ioctl(uapi.VFIO_DEVICE_FEATURE, featureArg(uapi.VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | uapi.VFIO_DEVICE_FEATURE_SET, new Uint8Array(0)));
      expect(started.at(-1)).toBe('stop');
    }, (vdev) => {
      vdev.log_ops = {
        async log_start(_, ranges, page) {
          started.push(`start ${page}: ${ranges.map(({ iova, length }) => `${iova.toString(16)}+${length.toString(16)}`).join(' ')}`);
          return 8192n;
        },
        log_stop: async () => void started.push('stop'),
        async log_read_and_clear(_, iova, __, set) {
          set(iova + 0x1800n, 0x1000n); // two pages
        },
      };
    });
  });
});

describe('a group', () => {
  test('that goes while it is being opened says so, in some orders of events', async () => {
    covers('2.12.3');
    const answers = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu', 'vfio'], { seed });
      const { k } = kernel;
      const toy = await kernel.run(async () => {
        const dev = k.device_initialize({ name: 'toy0' });
        await k.device_add(dev);
        const vdev = await k._vfio_alloc_device(dev, { name: 'toy' }, null);
        await k.vfio_register_emulated_iommu_dev(vdev);
        return { dev, vdev };
      });
      kernel.spawn('driver', async () => {
        await k.vfio_unregister_group_dev(toy.vdev);
        k.put_device(toy.vdev.device);
        await k.device_unregister(toy.dev);
      });
      await kernel.user(async (proc) => {
        const answer = await outcome(() => k.ksys_open(proc, '/dev/vfio/0', O_RDWR));
        answers.add(typeof answer === 'string' ? answer : 'opened');
      });
      await kernel.settle();
      expect(kernel.leftovers()).toEqual([]);
    }
    expect([...answers].filter((answer) => !['opened', 'ENODEV', 'ENOENT', 'ENXIO'].includes(answer))).toEqual([]);
    expect(answers.has('ENODEV')).toBe(true);
  });
});

describe('without an IOMMU', () => {
  test('a device is refused, unless the parameter allows what cannot be safe', async () => {
    covers('2.12.3');
    const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu', 'vfio']);
    const { k } = kernel;
    await kernel.run(async () => {
      const dev = k.device_initialize({ name: 'toy0' });
      await k.device_add(dev);
      const vdev = await k._vfio_alloc_device(dev, { name: 'toy' }, null);
      expect(await outcome(() => k.vfio_register_group_dev(vdev))).toBe('EINVAL');
      k.put_device(vdev.device);
      await k.device_unregister(dev);
    });
    expect(kernel.leftovers()).toEqual([]);
  });

  test('in that mode the node is another, wants CAP_SYS_RAWIO, taints, and maps nothing', async () => {
    covers('2.12.3');
    const { default: vfio } = await import('./module.ts');
    const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'driver-core', 'iommu']);
    const { k } = kernel;
    await kernel.run(() => kernel.insmod(vfio, { enable_unsafe_noiommu_mode: true }));
    const parts = await kernel.run(async () => {
      const dev = k.device_initialize({ name: 'toy0' });
      await k.device_add(dev);
      const vdev = await k._vfio_alloc_device(dev, { name: 'toy' }, null);
      await k.vfio_register_group_dev(vdev);
      const safe = k.device_initialize({ name: 'toy1' });
      await k.device_add(safe);
      const emulated = await k._vfio_alloc_device(safe, { name: 'toy' }, null);
      await k.vfio_register_emulated_iommu_dev(emulated);
      return { dev, vdev, safe, emulated };
    });
    expect(kernel.log.map(({ text }) => text)).toContainEqual(expect.stringContaining('toy0: Adding kernel taint for vfio-noiommu group on device'));
    await kernel.user(async (proc) => {
      await k.ksys_chmod(proc, '/dev/vfio/noiommu-0', 0o666);
    });
    await kernel.user(async (proc) => {
      expect(await outcome(() => k.ksys_open(proc, '/dev/vfio/noiommu-0', O_RDWR))).toBe('EPERM');
    }, { uid: 1000, caps: [] });
    await kernel.user(async (proc) => {
      const at = await k.ksys_mmap(proc, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      const group = await k.ksys_open(proc, '/dev/vfio/noiommu-0', O_RDWR);
      const container = await k.ksys_open(proc, '/dev/vfio/vfio', O_RDWR);
      expect(await k.ksys_ioctl(proc, container, uapi.VFIO_CHECK_EXTENSION, uapi.VFIO_NOIOMMU_IOMMU)).toBe(1);
      proc.mm.write(at, Uint8Array.of(container, 0, 0, 0));
      await k.ksys_ioctl(proc, group, uapi.VFIO_GROUP_SET_CONTAINER, at);
      expect(await outcome(() => k.ksys_ioctl(proc, container, uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1v2_IOMMU))).toBe('ENODEV');
      await k.ksys_ioctl(proc, container, uapi.VFIO_SET_IOMMU, uapi.VFIO_NOIOMMU_IOMMU);
      const other = await k.ksys_open(proc, '/dev/vfio/1', O_RDWR);
      expect(await outcome(() => k.ksys_ioctl(proc, other, uapi.VFIO_GROUP_SET_CONTAINER, at))).toBe('EPERM'); // a group that something translates for
      await k.ksys_close(proc, other);
      expect(await outcome(() => k.ksys_ioctl(proc, container, uapi.VFIO_IOMMU_MAP_DMA, at))).toBe('ENOTTY');
      proc.mm.write(at, Uint8Array.from([...'toy0\0'], (c) => c.charCodeAt(0)));
      const fd = await k.ksys_ioctl(proc, group, uapi.VFIO_GROUP_GET_DEVICE_FD, at);
      for (const file of [fd, group, container]) await k.ksys_close(proc, file);
    });
    expect(kernel.log.map(({ text }) => text)).toContainEqual(expect.stringContaining('vfio-noiommu device opened by user (test:'));
    await kernel.run(async () => {
      for (const [dev, vdev] of [[parts.dev, parts.vdev], [parts.safe, parts.emulated]] as const) {
        await k.vfio_unregister_group_dev(vdev);
        k.put_device(vdev.device);
        await k.device_unregister(dev);
      }
      await kernel.rmmod('vfio');
    });
    expect(kernel.leftovers()).toEqual([]);
  });
});

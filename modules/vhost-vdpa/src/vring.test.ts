import { covers, FAKE_DOORBELLS } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootVhost, eventfdCount } from './testing/kernel.ts';

const FEATURES = 0x3_0000_0028n;

test('SET_VRING_NUM takes powers of two up to 65535, whatever the parent\'s maximum, and indexes below the number of queues', async () => {
  covers('2.4.23');
  const kernel = await bootVhost();
  await kernel.withFile(async (f, _, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    const num = (n: number, idx = 0) => f.vring(uapi.VHOST_SET_VRING_NUM, idx, n);
    for (const ok of [1, 2, 256, 512]) expect(await num(ok)).toBe(0);
    expect(device.queue(0).num).toBe(512);
    for (const bad of [0, 3, 257, 65_535, 65_536]) expect(await num(bad)).toBe('EINVAL');
    expect([await num(64, 2), await num(64, 3), await num(64, -1)]).toEqual([0, 'ENOBUFS', 'ENOBUFS']);
    for (const cmd of [
      uapi.VHOST_SET_VRING_BASE, uapi.VHOST_GET_VRING_BASE, uapi.VHOST_VDPA_SET_VRING_ENABLE, uapi.VHOST_VDPA_GET_VRING_GROUP,
      uapi.VHOST_VDPA_SET_GROUP_ASID, uapi.VHOST_SET_VRING_BUSYLOOP_TIMEOUT,
    ]) expect(await f.vring(cmd, 3)).toBe('ENOBUFS');
    for (const cmd of [uapi.VHOST_SET_VRING_KICK, uapi.VHOST_SET_VRING_CALL, uapi.VHOST_SET_VRING_ERR]) {
      expect(await f.vringFile(cmd, 3, -1)).toBe('ENOBUFS');
    }
    expect(await f.vringAddr(uapi.VHOST_SET_VRING_ADDR, 3, 0n, 0n, 0n)).toBe('ENOBUFS');
  });
});

test('SET_VRING_ADDR looks at alignment and flags only', async () => {
  covers('2.4.25');
  const kernel = await bootVhost();
  await kernel.withFile(async (f, _, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    const addr = (d: bigint, a: bigint, u: bigint, flags = 0, log = 0n) => f.vringAddr(uapi.VHOST_SET_VRING_ADDR, 0, d, a, u, flags, log);
    expect(await addr(0x1000n, 0x2000n, 0x3000n)).toBe(0);
    expect([device.queue(0).desc, device.queue(0).driver, device.queue(0).device]).toEqual([0x1000n, 0x2000n, 0x3000n]);
    expect(await addr(0x1008n, 0x2000n, 0x3000n)).toBe(0); // the table's alignment is the device's business
    expect(await addr(0x1000n, 0x2001n, 0x3000n)).toBe('EINVAL');
    expect(await addr(0x1000n, 0x2000n, 0x3002n)).toBe('EINVAL');
    expect(await addr(0x1000n, 0x2000n, 0x3000n, 2)).toBe('EOPNOTSUPP');
    expect(await addr(0x1000n, 0x2000n, 0x3000n, 1)).toBe(0);
    expect(await addr(0x1000n, 0x2000n, 0x3000n, 1, 3n)).toBe('EINVAL');
    expect(await addr(0xffff_ffff_ffff_fff0n, 0x2000n, 0x3000n)).toBe(0);
    expect(await f.raw(uapi.VHOST_SET_VRING_ADDR, 0x10)).toBe('EFAULT');
  });
});

test('a base is an index of 16 bits that the parent keeps; a refusal of the parent is EINVAL', async () => {
  const kernel = await bootVhost();
  await kernel.withFile(async (f, _, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    for (const n of [0, 7, 65_535]) {
      expect(await f.vring(uapi.VHOST_SET_VRING_BASE, 0, n)).toBe(0);
      expect(await f.vringGet(uapi.VHOST_GET_VRING_BASE, 0)).toBe(n);
    }
    expect(await f.vring(uapi.VHOST_SET_VRING_BASE, 0, 65_536)).toBe('EINVAL');
    device.queue(0).state = { kind: 'split', avail_index: 99 };
    expect(await f.vringGet(uapi.VHOST_GET_VRING_BASE, 0)).toBe(99);
  });
  const refusing = await bootVhost({ fails: { at: 2, errno: 'EOPNOTSUPP' } });
  await refusing.withFile(async (f) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    expect(await f.vring(uapi.VHOST_SET_VRING_BASE, 0, 1)).toBe('EINVAL');
    expect(refusing.parent.calls.failed).toBe('set_vq_state');
  });
});

test('a ring may be set while the device runs, unless the parent is of the kind that resumes: then only while suspended', async () => {
  covers('2.4.25', '2.4.26', '2.4.19');
  const running = async (having: readonly string[]) => {
    const kernel = await bootVhost({ having, features: FEATURES | (1n << 34n) });
    return await kernel.withFile(async (f, _, device) => {
      await f.ioctl(uapi.VHOST_SET_OWNER);
      await f.set(uapi.VHOST_SET_FEATURES, 8, FEATURES);
      expect(await f.ioctl(uapi.VHOST_VDPA_SUSPEND)).toBe(0);
      expect(device.suspended).toBe(false); // it does not run: nothing to do
      await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0xf);
      const set = async () => [
        await f.vring(uapi.VHOST_SET_VRING_BASE, 0, 5), await f.vringAddr(uapi.VHOST_SET_VRING_ADDR, 0, 0x1000n, 0x2000n, 0x3000n),
        await f.vring(uapi.VHOST_SET_VRING_NUM, 0, 64), await f.vring(uapi.VHOST_VDPA_SET_VRING_ENABLE, 0, 1),
      ];
      const answers = [await set()];
      expect([await f.ioctl(uapi.VHOST_VDPA_SUSPEND), await f.ioctl(uapi.VHOST_VDPA_SUSPEND), device.suspended]).toEqual([0, 0, true]);
      expect(await f.get(uapi.VHOST_VDPA_GET_STATUS, 1)).toBe(0xfn);
      answers.push(await set());
      answers.push([await f.vringGet(uapi.VHOST_GET_VRING_BASE, 0), await f.ioctl(uapi.VHOST_VDPA_RESUME)]);
      answers.push(await set());
      await f.ioctl(uapi.VHOST_VDPA_SUSPEND);
      await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0);
      expect(device.suspended).toBe(false);
      return answers;
    });
  };
  expect(await running([])).toEqual([[0, 0, 0, 0], [0, 0, 0, 0], [5, 'EOPNOTSUPP'], [0, 0, 0, 0]]);
  expect(await running(['resume'])).toEqual([['EINVAL', 'EINVAL', 0, 0], [0, 0, 0, 0], [5, 0], ['EINVAL', 'EINVAL', 0, 0]]);
  const bare = await bootVhost({ lacking: ['suspend'] });
  await bare.withFile(async (f) => expect(await f.ioctl(uapi.VHOST_VDPA_SUSPEND)).toBe('EOPNOTSUPP'));

  // packed: two indexes of 15 bits with their wrap counters
  const packed = await bootVhost({ features: FEATURES | (1n << 34n) });
  await packed.withFile(async (f, _, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    await f.set(uapi.VHOST_SET_FEATURES, 8, FEATURES | (1n << 34n));
    expect(await f.vring(uapi.VHOST_SET_VRING_BASE, 0, 0x0001_8002)).toBe(0); // over 16 bits is fine here
    expect(device.queue(0).state)
      .toEqual({ kind: 'packed', last_avail_counter: 1, last_avail_idx: 2, last_used_counter: 0, last_used_idx: 1 });
    device.queue(0).state = { kind: 'packed', last_avail_counter: 0, last_avail_idx: 5, last_used_counter: 1, last_used_idx: 4 };
    expect(await f.vringGet(uapi.VHOST_GET_VRING_BASE, 0)).toBe(0x8004_0005);
  });
});

test('eventfds: a closed descriptor is EBADF, another file EINVAL, -1 unbinds', async () => {
  covers('2.4.12', '2.4.27', '2.6.4');
  const kernel = await bootVhost({ having: ['get_vq_irq'] });
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    const fd = k.ksys_eventfd(proc, 0, uapi.EFD_NONBLOCK);
    for (const cmd of [uapi.VHOST_SET_VRING_KICK, uapi.VHOST_SET_VRING_CALL, uapi.VHOST_SET_VRING_ERR]) {
      expect([await f.vringFile(cmd, 0, -1), await f.vringFile(cmd, 0, 999), await f.vringFile(cmd, 0, f.fd), await f.vringFile(cmd, 0, fd)])
        .toEqual([0, 'EBADF', 'EINVAL', 0]);
    }
    expect(device.queue(0).cb).not.toBeNull();
    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 0, -1);
    expect(device.queue(0).cb).toBeNull();
    const config = (n: number) => f.set(uapi.VHOST_VDPA_SET_CONFIG_CALL, 4, n);
    expect([await config(999), await config(f.fd), await config(fd)]).toEqual(['EBADF', 'EINVAL', 0]);
    expect(device.config_cb).not.toBeNull();
    device.raiseConfig();
    expect(await config(999)).toBe('EBADF'); // and the old one is dropped
    device.raiseConfig();
    expect(await eventfdCount(k, proc, fd)).toBe(1n);
    expect([await config(fd), await config(-1)]).toEqual([0, 0]);
    expect(device.config_cb).toBeNull();
    expect(await f.vring(uapi.VHOST_SET_VRING_ENDIAN, 0, 0)).toBe('ENOTTY');
    expect(await f.vring(uapi.VHOST_SET_VRING_BUSYLOOP_TIMEOUT, 0, 17)).toBe(0);
    expect(await f.vringGet(uapi.VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 0)).toBe(17);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a kick rings the doorbell of its queue once, and a call or a change of configuration signals its eventfd', async () => {
  covers('2.4.31', '2.4.32', '2.4.33', '1.1.13', '1.1.16');
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    const eventfd = () => k.ksys_eventfd(proc, 0, uapi.EFD_NONBLOCK);
    const [kick, early, call, config] = [eventfd(), eventfd(), eventfd(), eventfd()] as const;
    const signal = (fd: number) => k.ksys_write(proc, fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    const kicks = () => device.queues.map((queue) => queue.kicks);
    await f.vringFile(uapi.VHOST_SET_VRING_KICK, 1, kick);
    await signal(kick);
    await signal(kick);
    expect(kicks()).toEqual([0, 2, 0]);
    await k.ksys_read(proc, kick, 8); // wakes waiters too, and is no kick
    await f.vringFile(uapi.VHOST_SET_VRING_KICK, 1, kick); // the same one again
    expect(kicks()).toEqual([0, 2, 0]);
    await signal(early);
    await f.vringFile(uapi.VHOST_SET_VRING_KICK, 0, early); // a count that is there is a kick
    expect(kicks()).toEqual([1, 2, 0]);
    await f.vringFile(uapi.VHOST_SET_VRING_KICK, 1, -1);
    await signal(kick);
    expect(kicks()).toEqual([1, 2, 0]);

    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 2, call);
    await f.set(uapi.VHOST_VDPA_SET_CONFIG_CALL, 4, config);
    device.raise(2);
    device.raise(1); // nobody listens
    device.raiseConfig();
    device.raiseConfig();
    expect([await eventfdCount(k, proc, call), await eventfdCount(k, proc, config)]).toEqual([1n, 2n]);
    await f.vringFile(uapi.VHOST_SET_VRING_CALL, 2, -1);
    await f.set(uapi.VHOST_VDPA_SET_CONFIG_CALL, 4, -1);
    device.raise(2);
    device.raiseConfig();
    expect([await eventfdCount(k, proc, call), await eventfdCount(k, proc, config)]).toEqual([1n, 2n]);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('SET_VRING_ENABLE hands any number but 0 on as ready', async () => {
  covers('2.4.10');
  const kernel = await bootVhost();
  await kernel.withFile(async (f, _, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    expect([await f.vring(uapi.VHOST_VDPA_SET_VRING_ENABLE, 0, 7), device.queue(0).ready]).toEqual([0, true]);
    expect([await f.vring(uapi.VHOST_VDPA_SET_VRING_ENABLE, 0, 0), device.queue(0).ready]).toEqual([0, false]);
    expect(await f.raw(uapi.VHOST_VDPA_SET_VRING_ENABLE, 0x10)).toBe('EFAULT');
  });
});

test('groups: of queues, of descriptor tables, and their address spaces', async () => {
  covers('2.4.15', '2.4.16', '2.4.17');
  const kernel = await bootVhost({ having: ['get_vq_desc_group'] });
  await kernel.withFile(async (f, _, device) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    const asid = (group: number, as: number) => f.vring(uapi.VHOST_VDPA_SET_GROUP_ASID, group, as);
    expect([await f.vringGet(uapi.VHOST_VDPA_GET_VRING_GROUP, 0), await f.vringGet(uapi.VHOST_VDPA_GET_VRING_GROUP, 2)]).toEqual([0, 1]);
    for (const group of [0, 1]) expect([await asid(group, 0), await asid(group, 1), await asid(group, 2)]).toEqual([0, 0, 'EINVAL']);
    expect([...device.group_asid]).toEqual([[0, 1], [1, 1]]);
    for (const as of [0, 1, 2]) expect([await asid(2, as), await asid(3, as)]).toEqual(['EINVAL', 'ENOBUFS']);
    expect(await f.vringGet(uapi.VHOST_VDPA_GET_VRING_DESC_GROUP, 0)).toBe('EIO'); // the parent's number is out of range
  });
  const bare = await bootVhost({ lacking: ['get_vq_group', 'set_group_asid'] });
  await bare.withFile(async (f) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    expect(await f.vringGet(uapi.VHOST_VDPA_GET_VRING_GROUP, 0)).toBe('EOPNOTSUPP');
    expect(await f.vringGet(uapi.VHOST_VDPA_GET_VRING_DESC_GROUP, 0)).toBe('EOPNOTSUPP');
    expect([await f.vring(uapi.VHOST_VDPA_SET_GROUP_ASID, 0, 5), await f.vring(uapi.VHOST_VDPA_SET_GROUP_ASID, 0, 0)]).toEqual(['EINVAL', 'EOPNOTSUPP']);
  });
});

test('GET_VRING_SIZE is the size of one queue, where the parent knows it', async () => {
  covers('2.4.18');
  for (const [having, size] of [[['get_vq_size'], 128], [[], 'EOPNOTSUPP']] as const) {
    const kernel = await bootVhost({ having });
    await kernel.withFile(async (f) => {
      await f.ioctl(uapi.VHOST_SET_OWNER);
      expect(await f.vringGet(uapi.VHOST_VDPA_GET_VRING_SIZE, 1)).toBe(size);
    });
  }
});

test('a doorbell is mapped as one shared, write-only page, in the recorded order of checks', async () => {
  covers('2.4.34');
  const { PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE } = uapi;
  const map = async (options: object, len: number, prot: number, flags: number, page: number): Promise<string> => {
    const kernel = await bootVhost(options);
    return await kernel.withFile(async (f, proc) => {
      try {
        const at = await kernel.k.ksys_mmap(proc, 0, len, prot, flags, f.fd, page * 4096);
        const area = proc.mm.areas.find((vma) => vma.start === at);
        const pa = area?.backing.kind === 'io' ? `0x${area.backing.pa.toString(16)}` : 'mapped nothing';
        await kernel.k.ksys_munmap(proc, at, len); // a mapping holds the file
        return pa;
      } catch (error) {
        return (error as { errno: string }).errno;
      }
    });
  };
  const having = { having: ['get_vq_notification'] };
  expect(await map({}, 4096, PROT_WRITE, MAP_SHARED, 0)).toBe('ENOTSUPP');
  expect(await map({}, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0)).toBe('EINVAL');
  expect(await map({}, 8192, PROT_WRITE, MAP_SHARED, 0)).toBe('EINVAL');
  expect(await map({}, 4096, PROT_WRITE, MAP_PRIVATE, 0)).toBe('EINVAL');
  expect(await map(having, 4096, PROT_WRITE, MAP_SHARED, 1)).toBe(`0x${(FAKE_DOORBELLS + 4096).toString(16)}`);
  expect(await map(having, 4096, PROT_WRITE, MAP_SHARED, 3)).toBe('EINVAL');
  expect(await map(having, 4096, PROT_WRITE, MAP_SHARED, 65_536)).toBe('EINVAL');
});

test('SET_MEM_TABLE is checked, and means nothing here', async () => {
  const kernel = await bootVhost();
  await kernel.withFile(async (f) => {
    await f.ioctl(uapi.VHOST_SET_OWNER);
    const table = (nregions: number, padding: number, ...regions: readonly [bigint, bigint, bigint][]) => {
      const parts = [uapi.vhost_memory.encode({ nregions, padding }), ...regions.map(([guest_phys_addr, memory_size, userspace_addr]) =>
        uapi.vhost_memory_region.encode({ guest_phys_addr, memory_size, userspace_addr, flags_padding: 0n }))];
      return f.ioctl(uapi.VHOST_SET_MEM_TABLE, Uint8Array.from(parts.flatMap((part) => [...part])));
    };
    expect([await table(0, 0), await table(1, 0, [0n, 0x1000n, 0x5000n]), await table(1, 0, [0n, 0x2000n, 0x5000n])]).toEqual([0, 0, 0]);
    expect([await table(0, 1), await table(65, 0), await table(1, 0, [0x1000n, 0n, 0n])]).toEqual(['EOPNOTSUPP', 'E2BIG', 'EFAULT']);
    expect(await f.raw(uapi.VHOST_SET_MEM_TABLE, 0x10)).toBe('EFAULT');
  });
  expect(await kernel.gone()).toEqual([]);
});

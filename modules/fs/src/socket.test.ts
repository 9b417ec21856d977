import { KernelError } from '@vdpalab/abi';
import type { KModule } from '@vdpalab/abi';
import { AF_INET, AF_NETLINK, MSG_DONTWAIT, MSG_PEEK, SEEK_SET, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { FileOperations } from './header.ts';
import { decodeText, encodeText } from './text.ts';
import { bootFs, refusal } from './testing/kernel.ts';

const owner: KModule = { name: 'netlink', state: 'live' };

async function withFamily(extra: FileOperations = {}) {
  const kernel = await bootFs();
  const { k } = kernel;
  const log: unknown[] = [];
  k.sock_register({
    family: AF_NETLINK, owner,
    create: async (type, protocol) => {
      if (protocol === 99) throw new KernelError('EPROTONOSUPPORT', 'netlink.protocol', 'no such protocol');
      log.push(['create', type, protocol]);
      return {
        private_data: { protocol },
        ops: {
          sendmsg: async (_file, bytes, address) => {
            log.push(['send', decodeText(bytes), address]);
            return bytes.length;
          },
          recvmsg: async (_file, len, _proc, flags) => {
            log.push(['recv', len, flags]);
            return { bytes: encodeText('answer'), address: Uint8Array.of(1) };
          },
          release: async () => void log.push('release'),
          ...extra,
        },
      };
    },
  });
  return { ...kernel, log, socket: (type = SOCK_RAW, protocol = 16) => k.ksys_socket(kernel.root, AF_NETLINK, type, protocol) };
}

test('a socket sends and receives, by messages and by read and write', async () => {
  const { k, root, inTask, log, refs, socket } = await withFamily();
  await inTask(async () => {
    const fd = await socket(SOCK_RAW | SOCK_CLOEXEC);
    expect(refs.get(owner)).toBe(1);
    expect(await k.ksys_sendmsg(root, fd, encodeText('hi'), Uint8Array.of(9))).toBe(2);
    expect(await k.ksys_write(root, fd, encodeText('ho'))).toBe(2);
    expect(await k.ksys_recvmsg(root, fd, 50, MSG_PEEK)).toMatchObject({ address: Uint8Array.of(1) });
    expect(decodeText(await k.ksys_read(root, fd, 60))).toBe('answer');
    await k.ksys_close(root, fd);
  });
  expect(log).toEqual([
    ['create', SOCK_RAW, 16], ['send', 'hi', Uint8Array.of(9)], ['send', 'ho', null], ['recv', 50, MSG_PEEK], ['recv', 60, 0], 'release',
  ]);
  expect(refs.get(owner)).toBe(0);
});

test('a socket that does not wait receives with MSG_DONTWAIT', async () => {
  const { k, root, inTask, log, socket } = await withFamily();
  await inTask(async () => {
    const fd = await socket(SOCK_RAW | SOCK_NONBLOCK);
    await k.ksys_recvmsg(root, fd, 1);
    await k.ksys_read(root, fd, 10);
  });
  expect(log.slice(1)).toEqual([['recv', 1, MSG_DONTWAIT], ['recv', 10, MSG_DONTWAIT]]);
});

test('operations pass their arguments on, and absent ones are EOPNOTSUPP', async () => {
  const calls: unknown[] = [];
  const full = await withFamily({
    bind: async (_file, address) => void calls.push(['bind', address]),
    getsockname: async () => Uint8Array.of(4),
    setsockopt: async (_file, level, name, value) => void calls.push([level, name, value]),
  });
  await full.inTask(async () => {
    const fd = await full.socket();
    await full.k.ksys_bind(full.root, fd, Uint8Array.of(3));
    expect(await full.k.ksys_getsockname(full.root, fd)).toEqual(Uint8Array.of(4));
    await full.k.ksys_setsockopt(full.root, fd, 270, 1, Uint8Array.of(5));
  });
  expect(calls).toEqual([['bind', Uint8Array.of(3)], [270, 1, Uint8Array.of(5)]]);

  const bare = await withFamily();
  await bare.inTask(async () => {
    const fd = await bare.socket();
    const unsupported = refusal('EOPNOTSUPP', 'socket.no-op');
    await expect(bare.k.ksys_bind(bare.root, fd, new Uint8Array(0))).rejects.toMatchObject(unsupported);
    await expect(bare.k.ksys_getsockname(bare.root, fd)).rejects.toMatchObject(unsupported);
    await expect(bare.k.ksys_setsockopt(bare.root, fd, 0, 0, new Uint8Array(0))).rejects.toMatchObject(unsupported);
    await expect(bare.k.ksys_lseek(bare.root, fd, 0, SEEK_SET)).rejects.toMatchObject(refusal('ESPIPE'));
  });
});

test('what cannot be made leaves no descriptor and no reference', async () => {
  const { k, root, inTask, refs, going, socket } = await withFamily();
  const fails = (call: () => Promise<unknown>, errno: string): Promise<void> =>
    expect(inTask(call)).rejects.toMatchObject({ errno });
  await fails(() => k.ksys_socket(root, AF_INET, SOCK_RAW, 0), 'EAFNOSUPPORT');
  await fails(() => k.ksys_socket(root, -1, SOCK_RAW, 0), 'EAFNOSUPPORT');
  await fails(() => k.ksys_socket(root, 46, SOCK_RAW, 0), 'EAFNOSUPPORT');
  await fails(() => socket(11), 'EINVAL');
  await fails(() => socket(SOCK_RAW | 0x100), 'EINVAL');
  await fails(() => socket(SOCK_RAW, 99), 'EPROTONOSUPPORT');
  going.add(owner);
  await fails(() => socket(), 'EAFNOSUPPORT');
  expect(refs.get(owner)).toBe(0);
  expect(root.files.size).toBe(0);
  going.clear();
  expect(await inTask(() => socket())).toBe(0);
});

test('a family is served once, and stays behind when it is not unregistered', async () => {
  const { k, leftovers } = await withFamily();
  const again = { family: AF_NETLINK, owner: null, create: async () => ({ ops: {}, private_data: null }) };
  expect(() => k.sock_register(again)).toThrow(expect.objectContaining(refusal('EEXIST')));
  expect(() => k.sock_register({ ...again, family: 46 })).toThrow(expect.objectContaining(refusal('ENOBUFS')));
  expect(leftovers()).toEqual(['socket family 16']);
  k.sock_unregister(AF_NETLINK);
  expect(() => k.sock_unregister(AF_NETLINK)).toThrow('not served');
});

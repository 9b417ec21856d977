import { KernelError, defineModule } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import { errnoOf } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import type { GenlInfo, NlaPolicy } from './header.ts';
import { Client, attrs, bootNetlink, message, readAck, resolve, toyFamily } from './testing/client.ts';

test('the controller finds a family by name and by number, with its commands and groups', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const family = toyFamily({
      name: 'vdpa', maxattr: 20, policy: { 1: { type: 'nul_string' } }, mcgrps: ['events', 'config'],
      ops: [{ cmd: 1, admin: true, doit: async () => undefined }, { cmd: 3, doit: async () => undefined, dumpit: async () => undefined }],
    });
    k.genl_register_family(family);
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'vdpa');
    expect(id).toBe(uapi.GENL_START_ALLOC);
    await client.send(client.request(uapi.GENL_ID_CTRL, uapi.CTRL_CMD_GETFAMILY, 0, (b) => b.putU16(uapi.CTRL_ATTR_FAMILY_ID, id)));
    const { hdr, payload } = await client.one();
    expect([hdr.nlmsg_type, hdr.nlmsg_flags, hdr.nlmsg_seq, hdr.nlmsg_pid]).toEqual([uapi.GENL_ID_CTRL, 0, 2, proc.pid]);
    expect(uapi.genlmsghdr.decode(payload)).toEqual({ cmd: uapi.CTRL_CMD_NEWFAMILY, version: 2, reserved: 0 });
    const table = attrs(payload);
    expect([table.string(uapi.CTRL_ATTR_FAMILY_NAME), table.u32(uapi.CTRL_ATTR_VERSION), table.u32(uapi.CTRL_ATTR_HDRSIZE), table.u32(uapi.CTRL_ATTR_MAXATTR)])
      .toEqual(['vdpa', 1, 0, 20]);
    const pairs = (type: number, read: (t: uapi.NlaTable) => unknown): unknown[] =>
      table.list(type).map((item) => [item.type, read(new uapi.NlaTable(uapi.nlaList(item.payload).attrs))]);
    const { GENL_ADMIN_PERM, GENL_CMD_CAP_DO, GENL_CMD_CAP_DUMP, GENL_CMD_CAP_HASPOL } = uapi;
    expect(pairs(uapi.CTRL_ATTR_OPS, (t) => [t.u32(uapi.CTRL_ATTR_OP_ID), t.u32(uapi.CTRL_ATTR_OP_FLAGS)])).toEqual([
      [1, [1, GENL_ADMIN_PERM | GENL_CMD_CAP_DO | GENL_CMD_CAP_HASPOL]], [2, [3, GENL_CMD_CAP_DUMP | GENL_CMD_CAP_DO | GENL_CMD_CAP_HASPOL]],
    ]);
    expect(pairs(uapi.CTRL_ATTR_MCAST_GROUPS, (t) => [t.string(uapi.CTRL_ATTR_MCAST_GRP_NAME), t.u32(uapi.CTRL_ATTR_MCAST_GRP_ID)]))
      .toEqual([[1, ['events', 2]], [2, ['config', 3]]]);
    k.genl_unregister_family(family);
    const ask = (fill: (b: uapi.NlaBuilder) => void) => client.ack(client.request(uapi.GENL_ID_CTRL, uapi.CTRL_CMD_GETFAMILY, 0, fill));
    expect((await ask((b) => b.putString(uapi.CTRL_ATTR_FAMILY_NAME, 'vdpa'))).error).toBe(-uapi.ENOENT);
    expect((await ask((b) => b.putU16(uapi.CTRL_ATTR_FAMILY_ID, id))).error).toBe(-uapi.ENOENT);
    expect((await ask(() => undefined)).error).toBe(-uapi.EINVAL);
  });
});

test('a dump of the controller lists all families and ends in NLMSG_DONE', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    for (const name of ['one', 'two']) k.genl_register_family(toyFamily({ name }));
    const client = await Client.open(k, proc);
    await client.send(client.request(uapi.GENL_ID_CTRL, uapi.CTRL_CMD_GETFAMILY, uapi.NLM_F_DUMP));
    const messages = await client.receive();
    expect(messages.map((m) => attrs(m.payload).string(uapi.CTRL_ATTR_FAMILY_NAME))).toEqual(['nlctrl', 'one', 'two']);
    expect(messages.every((m) => m.hdr.nlmsg_flags === uapi.NLM_F_MULTI && m.hdr.nlmsg_seq === 1)).toBe(true);
    const done = await client.one();
    expect([done.hdr.nlmsg_type, done.hdr.nlmsg_flags, [...done.payload]]).toEqual([uapi.NLMSG_DONE, uapi.NLM_F_MULTI, [0, 0, 0, 0]]);
    expect(await errnoOf(() => client.receive())).toBe('EAGAIN');
  });
});

test('a request gets its reply, and an acknowledgement only when it asks', async () => {
  const { k, user } = await bootNetlink();
  const seen: Partial<GenlInfo>[] = [];
  await user(async (proc) => {
    k.genl_register_family(toyFamily({
      policy: { 1: { type: 'u32' } },
      ops: [{
        cmd: 5,
        doit: async (info) => {
          seen.push({ cmd: info.cmd, flags: info.flags, portid: info.portid, seq: info.seq, proc: info.proc });
          info.reply(6, (msg) => msg.putU32(1, info.attrs.u32(1) + 1));
        },
      }],
    }));
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'toy');
    await client.send(client.request(id, 5, 0, (b) => b.putU32(1, 41)));
    const reply = await client.one();
    expect([reply.hdr.nlmsg_type, reply.hdr.nlmsg_seq, uapi.genlmsghdr.decode(reply.payload).cmd, attrs(reply.payload).u32(1)]).toEqual([id, 2, 6, 42]);
    expect(await errnoOf(() => client.receive())).toBe('EAGAIN');
    await client.send(client.request(id, 5, uapi.NLM_F_ACK, (b) => b.putU32(1, 1)));
    expect(attrs((await client.one()).payload).u32(1)).toBe(2);
    expect(readAck(await client.one())).toEqual({ error: 0, echoed: 16, flags: uapi.NLM_F_CAPPED, msg: undefined, offset: undefined });
    expect(seen[1]).toEqual({ cmd: 5, flags: uapi.NLM_F_REQUEST | uapi.NLM_F_ACK, portid: proc.pid, seq: 3, proc });
  });
});

test('a refusal carries the errno, the request unless capped, and the text only when asked for', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    k.genl_register_family(toyFamily({
      policy: { 1: { type: 'nul_string' } },
      ops: [{
        cmd: 1,
        doit: async () => {
          throw new KernelError('ENODEV', 'toy.find', 'x: none', { extack: 'vdpa: device not found' });
        },
      }],
    }));
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'toy');
    const request = (): Uint8Array => client.request(id, 1, 0, (b) => b.putString(1, 'nosuch'));
    const size = request().length;
    expect(await client.ack(request())).toEqual({ error: -uapi.ENODEV, echoed: size, flags: 0, msg: undefined, offset: undefined });
    await client.set(uapi.NETLINK_EXT_ACK);
    expect(await client.ack(request())).toEqual({ error: -uapi.ENODEV, echoed: size, flags: uapi.NLM_F_ACK_TLVS, msg: 'vdpa: device not found', offset: undefined });
    await client.set(uapi.NETLINK_CAP_ACK);
    expect(await client.ack(request())).toEqual({
      error: -uapi.ENODEV, echoed: 16, flags: uapi.NLM_F_CAPPED | uapi.NLM_F_ACK_TLVS, msg: 'vdpa: device not found', offset: undefined,
    });
    await client.set(uapi.NETLINK_EXT_ACK, 0);
    expect((await client.ack(request())).msg).toBeUndefined();
  });
});

test('policies refuse with the errno, the text and the offset Linux gives', async () => {
  const policy: Record<number, NlaPolicy> = {
    1: { type: 'u16', min: 68n, max: 65535n }, 2: { type: 'nul_string', maxlen: 3 }, 3: { type: 'string', maxlen: 3 }, 4: { type: 'binary', minlen: 6, maxlen: 6 },
    5: { type: 'binary', maxlen: 4 }, 6: { type: 'flag' }, 7: { type: 'nested' }, 9: { type: 'u64' }, 10: { type: 'u8' }, 11: { type: 'unspec' },
  };
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    k.genl_register_family(toyFamily({ maxattr: 11, policy, ops: [{ cmd: 1, doit: async () => undefined }] }));
    const client = await Client.open(k, proc);
    await client.set(uapi.NETLINK_EXT_ACK);
    const id = await resolve(client, 'toy');
    const ask = async (fill: (b: uapi.NlaBuilder) => void): Promise<unknown[]> => {
      const { error, msg, offset } = await client.ack(client.request(id, 1, uapi.NLM_F_ACK, fill));
      return [error, msg, offset];
    };
    const bytes = (...b: number[]): Uint8Array => Uint8Array.from(b);
    const fine: [number, Uint8Array][] = [
      [1, bytes(68, 0)], [2, bytes(97, 98, 99, 0)], [2, bytes(97, 0, 7)], [3, bytes(97, 98, 99)], [3, bytes(97, 98, 99, 0)], [4, bytes(1, 2, 3, 4, 5, 6)],
      [5, bytes()], [6, bytes()], [7 | uapi.NLA_F_NESTED, bytes()], [9, new Uint8Array(8)], [10, bytes(255)],
    ];
    for (const [type, payload] of fine) expect([type, ...await ask((b) => b.put(type, payload))]).toEqual([type, 0, undefined, undefined]);
    const { EINVAL, ERANGE } = uapi;
    const bad: [number, Uint8Array, number, string][] = [
      [1, bytes(67, 0), ERANGE, 'integer out of range'],
      [1, bytes(67), EINVAL, 'invalid attribute length'],
      [2, bytes(97, 98), EINVAL, 'Attribute failed policy validation'],
      [2, bytes(97, 98, 99, 100, 0), EINVAL, 'Attribute failed policy validation'],
      [2, bytes(97, 0, 7, 7), ERANGE, 'Attribute failed policy validation'],
      [3, bytes(), ERANGE, 'Attribute failed policy validation'],
      [3, bytes(97, 98, 99, 100), ERANGE, 'Attribute failed policy validation'],
      [4, bytes(1, 2, 3, 4, 5), ERANGE, 'binary attribute size out of range'],
      [4, bytes(1, 2, 3, 4, 5, 6, 7), ERANGE, 'binary attribute size out of range'],
      [5, bytes(1, 2, 3, 4, 5), ERANGE, 'Attribute failed policy validation'],
      [6, bytes(1), ERANGE, 'Attribute failed policy validation'],
      [7, bytes(), EINVAL, 'NLA_F_NESTED is missing'],
      [7 | uapi.NLA_F_NESTED, bytes(1, 2), ERANGE, 'Attribute failed policy validation'],
      [10 | uapi.NLA_F_NESTED, bytes(1), EINVAL, 'NLA_F_NESTED not expected'],
      [8, bytes(), EINVAL, 'Unsupported attribute'],
      [11, bytes(), EINVAL, 'Unsupported attribute'],
      [0, bytes(), EINVAL, 'Unknown attribute type'],
      [12, bytes(), EINVAL, 'Unknown attribute type'],
    ];
    for (const [type, payload, errno, text] of bad) {
      const answer = await ask((b) => {
        b.putU8(10, 1);
        b.put(type, payload);
      });
      expect([type, ...answer]).toEqual([type, -errno, text, 16 + 4 + 8]);
    }
    // Bytes that are no attribute: the length says more than there is.
    expect(await ask((b) => b.raw(bytes(99, 0, 1, 0)))).toEqual([-EINVAL, 'bytes leftover after parsing attributes', undefined]);
  });
});

test('a command for administrators is EPERM without CAP_NET_ADMIN, of the opener and of the sender', async () => {
  const { k, user } = await bootNetlink();
  await user(async (root) => {
    k.genl_register_family(toyFamily({ ops: [{ cmd: 1, admin: true, doit: async () => undefined }, { cmd: 2, doit: async () => undefined }] }));
    const nobody = k.process_create('nobody', { uid: 65534 });
    const mine = await Client.open(k, root);
    const theirs = await Client.open(k, nobody);
    const id = await resolve(mine, 'toy');
    expect(await resolve(theirs, 'toy')).toBe(id);
    const ask = async (client: Client, cmd: number): Promise<number> => (await client.ack(client.request(id, cmd, uapi.NLM_F_ACK))).error;
    expect([await ask(mine, 1), await ask(theirs, 1), await ask(theirs, 2)]).toEqual([0, -uapi.EPERM, 0]);
    root.cred.caps.delete(uapi.CAP_NET_ADMIN);
    expect(await ask(mine, 1)).toBe(-uapi.EPERM);
    const opened = await Client.open(k, root); // without the capability
    root.cred.caps.add(uapi.CAP_NET_ADMIN);
    expect([await ask(opened, 1), await ask(mine, 1)]).toEqual([-uapi.EPERM, 0]);
    await k.process_exit(nobody);
  });
});

test('unknown families and commands, and commands that only dump or only do', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    k.genl_register_family(toyFamily({ ops: [{ cmd: 1, doit: async () => undefined }, { cmd: 2, dumpit: async () => undefined }] }));
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'toy');
    const ask = async (family: number, cmd: number, flags = 0): Promise<number> => (await client.ack(client.request(family, cmd, flags))).error;
    expect([await ask(999, 1), await ask(id, 9), await ask(id, 1, uapi.NLM_F_DUMP), await ask(id, 2)])
      .toEqual([-uapi.ENOENT, -uapi.EOPNOTSUPP, -uapi.EOPNOTSUPP, -uapi.EOPNOTSUPP]);
    expect((await client.ack(message(id, uapi.NLM_F_REQUEST, 9, Uint8Array.of(1)))).error).toBe(-uapi.EINVAL); // no genlmsghdr
  });
});

test('a dump is cut into datagrams, keeps what came before a refusal, and says how it ended', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    k.genl_register_family(toyFamily({
      ops: [{
        cmd: 1,
        dumpit: async (info, emit) => {
          for (let i = 0; i < 40; i++) {
            await k.cond_resched();
            emit(2, (msg) => msg.put(1, new Uint8Array(200).fill(i)));
          }
          if ((info.flags & uapi.NLM_F_ECHO) !== 0) throw new KernelError('EOPNOTSUPP', 'toy.dump', 'no config', { extack: 'no config' });
        },
      }],
    }));
    const client = await Client.open(k, proc);
    await client.set(uapi.NETLINK_EXT_ACK);
    const id = await resolve(client, 'toy');
    for (const [flags, status] of [[0, 0], [uapi.NLM_F_ECHO, -uapi.EOPNOTSUPP]] as const) {
      await client.send(client.request(id, 1, uapi.NLM_F_DUMP | flags));
      const sizes: number[] = [];
      const values: (number | undefined)[] = [];
      for (;;) {
        const messages = await client.receive();
        if (messages[0]?.hdr.nlmsg_type === uapi.NLMSG_DONE) {
          const { hdr, payload } = messages[0];
          expect([messages.length, new DataView(payload.buffer).getInt32(0, true)]).toEqual([1, status]);
          expect((hdr.nlmsg_flags & uapi.NLM_F_ACK_TLVS) !== 0).toBe(status !== 0);
          if (status !== 0) expect(new uapi.NlaTable(uapi.nlaList(payload.subarray(4)).attrs).string(uapi.NLMSGERR_ATTR_MSG)).toBe('no config');
          break;
        }
        sizes.push(messages.reduce((sum, m) => sum + m.hdr.nlmsg_len, 0));
        values.push(...messages.map((m) => attrs(m.payload).bytes(1)[0]));
      }
      expect(values).toEqual(Array.from({ length: 40 }, (_, i) => i));
      expect(sizes.length).toBeGreaterThan(1);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(3776);
    }
  });
});

test('what the sender changes after sending is not seen', async () => {
  const { k, user, spawn } = await bootNetlink();
  await user(async (proc) => {
    const seen: number[] = [];
    k.genl_register_family(toyFamily({
      policy: { 1: { type: 'u32' } },
      ops: [{
        cmd: 1,
        doit: async (info) => {
          await k.msleep(2);
          seen.push(info.attrs.u32(1));
        },
      }],
    }));
    const client = await Client.open(k, proc);
    const bytes = client.request(await resolve(client, 'toy'), 1, 0, (b) => b.putU32(1, 7));
    spawn('sender', () => client.send(bytes));
    await k.msleep(1);
    bytes.fill(0xff);
    await k.msleep(5);
    expect(seen).toEqual([7]);
  });
});

test('nothing of a dump is lost, however much it is', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    k.genl_register_family(toyFamily({
      ops: [{
        cmd: 1,
        dumpit: async (_info, emit) => {
          for (let i = 0; i < 500; i++) emit(2, (msg) => msg.put(1, new Uint8Array(1000)));
        },
      }],
    }));
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'toy');
    await client.send(client.request(id, 1, uapi.NLM_F_DUMP));
    let messages = 0;
    while (await errnoOf(async () => {
      messages += (await client.receive()).length;
    }) === 'ok');
    expect(messages).toBe(501);
  });
});

test('requests to families wait for each other, but not those of parallel families', async () => {
  const { k, run, spawn, settle } = await bootNetlink();
  const log: string[] = [];
  const slow = (name: string, parallel_ops: boolean) => toyFamily({
    name, parallel_ops,
    ops: [{
      cmd: 1,
      doit: async () => {
        log.push(`${name} begins`);
        await k.msleep(5);
        log.push(`${name} ends`);
      },
    }],
  });
  const ids = new Map<string, number>();
  const proc = k.process_create('tool');
  await run(async () => {
    const client = await Client.open(k, proc);
    for (const [name, parallel] of [['a', false], ['b', false], ['p', true]] as const) {
      k.genl_register_family(slow(name, parallel));
      ids.set(name, await resolve(client, name));
    }
  });
  for (const name of ['a', 'b', 'p']) {
    spawn(name, async () => {
      const client = await Client.open(k, proc);
      await client.ack(client.request(ids.get(name) ?? 0, 1, uapi.NLM_F_ACK));
    });
  }
  await settle();
  const serial = log.filter((line) => !line.startsWith('p'));
  expect([['a begins', 'a ends', 'b begins', 'b ends'], ['b begins', 'b ends', 'a begins', 'a ends']]).toContainEqual(serial);
  expect(log.indexOf('p ends')).toBeLessThan(log.length - 1);
});

test('a running request holds the family\'s module, and a going module has no family', async () => {
  const { k, run, insmod, rmmod, spawn, settle } = await bootNetlink();
  const proc = k.process_create('tool');
  const toy = defineModule({
    name: 'toy', license: 'GPL', imports: ['genl_register_family', 'genl_unregister_family', 'msleep'],
    module_init: (m, mod) => {
      const family = toyFamily({ module: mod.THIS_MODULE, ops: [{ cmd: 1, doit: () => m.msleep(5) }] });
      m.genl_register_family(family);
      mod.undo.push('family', () => m.genl_unregister_family(family));
      return { ksymtab: {} };
    },
  });
  const id = await run(async () => {
    await insmod(toy);
    return await resolve(await Client.open(k, proc), 'toy');
  });
  spawn('request', async () => {
    const client = await Client.open(k, proc);
    expect((await client.ack(client.request(id, 1, uapi.NLM_F_ACK))).error).toBe(0);
  });
  spawn('rmmod', async () => {
    await k.msleep(2);
    await expect(rmmod('toy')).rejects.toThrow('in use');
  });
  await settle();
  await run(async () => {
    await rmmod('toy');
    const client = await Client.open(k, proc);
    expect((await client.ack(client.request(id, 1))).error).toBe(-uapi.ENOENT);
  });
});

test('names, commands and numbers of families are checked and given round', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const doit = async (): Promise<void> => undefined;
    const errno = (more: Parameters<typeof toyFamily>[0]): Promise<string> => errnoOf(async () => k.genl_register_family(toyFamily(more)));
    expect([await errno({ name: '' }), await errno({ name: 'x'.repeat(16) }), await errno({ ops: [{ cmd: 1 }] }), await errno({ ops: [{ cmd: 1, doit }, { cmd: 1, doit }] })])
      .toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    const first = toyFamily({ mcgrps: ['a', 'b'] });
    expect(await errnoOf(async () => k.genl_register_family(first))).toBe('ok');
    expect(await errno({})).toBe('EEXIST');
    k.genl_unregister_family(first);
    expect(() => k.genl_unregister_family(first)).toThrow('not registered');
    const client = await Client.open(k, proc);
    k.genl_register_family(first);
    expect(await resolve(client, 'toy')).toBe(uapi.GENL_START_ALLOC + 1); // numbers go round
    expect(k.netlink_leftovers()).toContain('generic netlink family toy');
    expect(() => k.genlmsg_multicast(first, 'nosuch', 1, () => undefined)).toThrow('no group nosuch');
  });
});

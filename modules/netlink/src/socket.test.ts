import { KernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import fc from 'fast-check';
import { errnoOf } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import { Client, attrs, bootNetlink, message, readAck, resolve, split, toyFamily } from './testing/client.ts';

const sockaddr = (nl_pid: number, nl_groups = 0, nl_family: number = uapi.AF_NETLINK): Uint8Array => uapi.sockaddr_nl.encode({ nl_family, nl_pid, nl_groups });

test('only raw and datagram sockets of a protocol that is served can be made', async () => {
  const { k, user, leftovers } = await bootNetlink();
  await user(async (proc) => {
    const open = (type: number, protocol: number): Promise<string> => errnoOf(() => k.ksys_socket(proc, uapi.AF_NETLINK, type, protocol));
    expect([await open(uapi.SOCK_STREAM, 16), await open(uapi.SOCK_RAW, 32), await open(uapi.SOCK_RAW, uapi.NETLINK_ROUTE), await open(uapi.SOCK_DGRAM, 16)])
      .toEqual(['ESOCKTNOSUPPORT', 'EPROTONOSUPPORT', 'EPROTONOSUPPORT', 'ok']);
    expect(k.netlink_leftovers()).toEqual(['netlink socket of test, port 0']);
  });
  expect(leftovers()).toEqual([]);
});

test('the first socket of a process has its id as port, a second one another, and a port is taken once', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const name = async (client: Client): Promise<number> => uapi.sockaddr_nl.decode(await k.ksys_getsockname(proc, client.fd)).nl_pid;
    const [a, b, c] = [await Client.open(k, proc), await Client.open(k, proc), await Client.open(k, proc)];
    expect(await name(a)).toBe(0);
    await k.ksys_bind(proc, a.fd, sockaddr(0));
    await k.ksys_bind(proc, b.fd, sockaddr(0));
    expect([await name(a), await name(b)]).toEqual([proc.pid, 0xffff_ffff - 4096]);
    expect([await errnoOf(() => k.ksys_bind(proc, c.fd, sockaddr(proc.pid))), await errnoOf(() => k.ksys_bind(proc, a.fd, sockaddr(7)))])
      .toEqual(['EADDRINUSE', 'EINVAL']);
    expect([await errnoOf(() => k.ksys_bind(proc, c.fd, sockaddr(0, 0, uapi.AF_INET))), await errnoOf(() => k.ksys_bind(proc, c.fd, new Uint8Array(8)))])
      .toEqual(['EINVAL', 'EINVAL']);
    await k.ksys_bind(proc, a.fd, sockaddr(proc.pid, 0b101));
    expect(uapi.sockaddr_nl.decode(await k.ksys_getsockname(proc, a.fd)).nl_groups).toBe(0b101);
    await k.ksys_close(proc, a.fd);
    await k.ksys_bind(proc, c.fd, sockaddr(proc.pid)); // free again
  });
});

test('a receiver sleeps until a message comes, and only as much of it is read as asked for', async () => {
  const { k, run, spawn, settle } = await bootNetlink();
  const proc = k.process_create('tool');
  const family = toyFamily({ mcgrps: ['events'] });
  const got: Uint8Array[] = [];
  await run(async () => k.genl_register_family(family));
  spawn('listener', async () => {
    const client = await Client.open(k, proc);
    await client.set(uapi.NETLINK_ADD_MEMBERSHIP, 2);
    got.push((await k.ksys_recvmsg(proc, client.fd, 20)).bytes);
    got.push((await k.ksys_recvmsg(proc, client.fd, 4096, uapi.MSG_PEEK)).bytes, (await k.ksys_recvmsg(proc, client.fd, 0, uapi.MSG_PEEK | uapi.MSG_TRUNC)).bytes);
    got.push(await k.ksys_read(proc, client.fd, 4096));
  });
  expect(await settle()).toMatchObject({ kind: 'blocked' });
  await run(async () => {
    for (const value of [1, 2]) k.genlmsg_multicast(family, 'events', 7, (msg) => msg.putU32(1, value));
  });
  expect(got.map((bytes) => bytes.length)).toEqual([20, 28, 28, 28]);
  const [message2] = split(got[3] ?? new Uint8Array(0));
  expect([message2?.hdr.nlmsg_type, message2?.hdr.nlmsg_pid, attrs(message2?.payload ?? new Uint8Array(4)).u32(1)]).toEqual([uapi.GENL_START_ALLOC, 0, 2]);
});

test('members of a group get its messages with the group in the address, others do not; a group goes with its family', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const family = toyFamily({ mcgrps: ['events'] });
    k.genl_register_family(family);
    const [member, other] = [await Client.open(k, proc), await Client.open(k, proc)];
    await member.set(uapi.NETLINK_ADD_MEMBERSHIP, 2);
    k.genlmsg_multicast(family, 'events', 7, () => undefined);
    const { address } = await k.ksys_recvmsg(proc, member.fd, 4096, uapi.MSG_DONTWAIT);
    expect(uapi.sockaddr_nl.decode(address ?? new Uint8Array(12))).toMatchObject({ nl_pid: 0, nl_groups: 0b10 });
    expect(await errnoOf(() => other.receive())).toBe('EAGAIN');
    await member.set(uapi.NETLINK_DROP_MEMBERSHIP, 2);
    k.genlmsg_multicast(family, 'events', 7, () => undefined);
    expect(await errnoOf(() => member.receive())).toBe('EAGAIN');
    await member.set(uapi.NETLINK_ADD_MEMBERSHIP, 2);
    k.genl_unregister_family(family);
    k.genl_register_family(family);
    k.genlmsg_multicast(family, 'events', 7, () => undefined);
    expect(await errnoOf(() => member.receive())).toBe('EAGAIN');
    expect([await errnoOf(() => member.set(uapi.NETLINK_ADD_MEMBERSHIP, 0)), await errnoOf(() => member.set(uapi.NETLINK_ADD_MEMBERSHIP, 5000))]).toEqual(['EINVAL', 'EINVAL']);
  });
});

test('the controller\'s group is told of families that come and go', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const client = await Client.open(k, proc);
    await client.set(uapi.NETLINK_ADD_MEMBERSHIP, uapi.GENL_ID_CTRL);
    const family = toyFamily({});
    k.genl_register_family(family);
    k.genl_unregister_family(family);
    const seen: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      const { payload } = await client.one();
      seen.push([uapi.genlmsghdr.decode(payload).cmd, attrs(payload).string(uapi.CTRL_ATTR_FAMILY_NAME)]);
    }
    expect(seen).toEqual([[uapi.CTRL_CMD_NEWFAMILY, 'toy'], [uapi.CTRL_CMD_DELFAMILY, 'toy']]);
  });
});

test('uevents reach listeners as datagrams, in the format udev reads', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const listener = await Client.open(k, proc, uapi.NETLINK_KOBJECT_UEVENT);
    await k.ksys_bind(proc, listener.fd, sockaddr(0, 1));
    await k.bus_register({ name: 'vdpa' });
    const { bytes, address } = await k.ksys_recvmsg(proc, listener.fd, 4096, uapi.MSG_DONTWAIT);
    const strings = uapi.utf8Decode(bytes).split('\0');
    expect(strings).toEqual(['add@/bus/vdpa', 'ACTION=add', 'DEVPATH=/bus/vdpa', 'SUBSYSTEM=bus', expect.stringMatching(/^SEQNUM=\d+$/), '']);
    expect(uapi.sockaddr_nl.decode(address ?? new Uint8Array(12))).toMatchObject({ nl_pid: 0, nl_groups: 1 });
    expect(await errnoOf(() => k.ksys_sendmsg(proc, listener.fd, Uint8Array.of(1), null))).toBe('ECONNREFUSED');
  });
});

test('a listener that does not read loses messages, is told once, and goes on', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const family = toyFamily({ mcgrps: ['events'] });
    k.genl_register_family(family);
    const [strict, lax] = [await Client.open(k, proc), await Client.open(k, proc)];
    for (const client of [strict, lax]) await client.set(uapi.NETLINK_ADD_MEMBERSHIP, 2);
    await lax.set(uapi.NETLINK_NO_ENOBUFS);
    for (let i = 0; i < 500; i++) k.genlmsg_multicast(family, 'events', 7, (msg) => msg.putU32(1, i));
    expect(await errnoOf(() => strict.receive())).toBe('ENOBUFS');
    for (const client of [strict, lax]) {
      const values: number[] = [];
      while (await errnoOf(async () => values.push(attrs((await client.one()).payload).u32(1))) === 'ok');
      expect(values).toEqual(values.map((_, i) => i)); // the oldest are kept
      expect(values.length).toBeGreaterThan(100);
      expect(values.length).toBeLessThan(500);
    }
  });
});

test('what is cut short, no request, or a control message is passed over as Linux does', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    let calls = 0;
    k.genl_register_family(toyFamily({ ops: [{ cmd: 1, doit: async () => void calls++ }] }));
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'toy');
    const quiet = async (bytes: Uint8Array): Promise<string> => {
      await client.send(bytes);
      return await errnoOf(() => client.receive());
    };
    const good = client.request(id, 1);
    expect(await quiet(good.subarray(0, 15))).toBe('EAGAIN');
    expect(await quiet(good.subarray(0, 19))).toBe('EAGAIN'); // nlmsg_len says 20
    const short = good.slice();
    new DataView(short.buffer).setUint32(0, 15, true);
    expect(await quiet(short)).toBe('EAGAIN');
    expect(await quiet(message(id, 0, 1, Uint8Array.of(1, 1, 0, 0)))).toBe('EAGAIN'); // not a request
    expect(await quiet(message(uapi.NLMSG_NOOP, uapi.NLM_F_REQUEST, 1, new Uint8Array(4)))).toBe('EAGAIN');
    expect(calls).toBe(0);
    expect((await client.ack(message(uapi.NLMSG_NOOP, uapi.NLM_F_REQUEST | uapi.NLM_F_ACK, 5, new Uint8Array(4)))).error).toBe(0);
    expect([await errnoOf(() => client.send(new Uint8Array(0))), await errnoOf(() => client.send(new Uint8Array(300_000)))]).toEqual(['ENODATA', 'EMSGSIZE']);
  });
});

test('several requests in one datagram are answered in order, up to one that is cut short', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    k.genl_register_family(toyFamily({}));
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'toy');
    const parts = [client.request(id, 1, uapi.NLM_F_ACK), client.request(id, 9), client.request(id, 1, uapi.NLM_F_ACK), client.request(id, 1, uapi.NLM_F_ACK).subarray(0, 18)];
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    await client.send(all);
    const errors: number[] = [];
    while (await errnoOf(async () => errors.push(readAck(await client.one()).error)) === 'ok');
    expect(errors).toEqual([0, -uapi.EOPNOTSUPP, 0]);
  });
});

test('options and addresses that netlink does not know are refused', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const client = await Client.open(k, proc);
    const four = new Uint8Array(4);
    expect([await errnoOf(() => client.set(99)), await errnoOf(() => k.ksys_setsockopt(proc, client.fd, 6, 1, four)), await errnoOf(() => k.ksys_setsockopt(proc, client.fd, uapi.SOL_SOCKET, uapi.SO_RCVBUF, four))])
      .toEqual(['ENOPROTOOPT', 'ENOPROTOOPT', 'ok']);
    const send = (to: Uint8Array): Promise<string> => errnoOf(() => k.ksys_sendmsg(proc, client.fd, client.request(16, 3), to));
    expect([await send(sockaddr(0, 0, uapi.AF_INET)), await send(new Uint8Array(4)), await send(sockaddr(4242))]).toEqual(['EINVAL', 'EINVAL', 'ECONNREFUSED']);
    proc.cred.caps.delete(uapi.CAP_NET_ADMIN);
    expect([await send(sockaddr(4242)), await send(sockaddr(0, 1))]).toEqual(['EPERM', 'EPERM']);
  });
});

test('a user\'s broadcast reaches the group but not its sender, and the kernel takes no notice', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const [a, b] = [await Client.open(k, proc), await Client.open(k, proc)];
    for (const client of [a, b]) await client.set(uapi.NETLINK_ADD_MEMBERSHIP, 3);
    await k.ksys_sendmsg(proc, a.fd, Uint8Array.of(1, 2, 3), sockaddr(0, 0b100));
    expect([await errnoOf(() => k.ksys_recvmsg(proc, a.fd, 9, uapi.MSG_DONTWAIT)), [...(await k.ksys_recvmsg(proc, b.fd, 9, uapi.MSG_DONTWAIT)).bytes]])
      .toEqual(['EAGAIN', [1, 2, 3]]);
  });
});

test('one process can send to another\'s port', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const [a, b] = [await Client.open(k, proc), await Client.open(k, proc)];
    await k.ksys_bind(proc, b.fd, sockaddr(4242));
    await k.ksys_sendmsg(proc, a.fd, Uint8Array.of(1, 2, 3), sockaddr(4242));
    const { bytes, address } = await k.ksys_recvmsg(proc, b.fd, 10, uapi.MSG_DONTWAIT);
    expect([[...bytes], uapi.sockaddr_nl.decode(address ?? new Uint8Array(12)).nl_pid]).toEqual([[1, 2, 3], proc.pid]);
  });
});

test('a module can serve a protocol of its own, with answers, dumps, refusals and broadcasts', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    k.netlink_kernel_create({
      protocol: uapi.NETLINK_ROUTE,
      input: async (type, flags, payload, _proc, reply) => {
        if (type === uapi.RTM_NEWLINK) throw new KernelError('EINVAL', 'route.link', 'no', { extack: 'mtu greater than device maximum' });
        for (const value of payload) reply.message(uapi.RTM_NEWLINK, Uint8Array.of(value), (flags & uapi.NLM_F_DUMP) === 0 ? 0 : uapi.NLM_F_DUMP_FILTERED);
      },
    });
    const client = await Client.open(k, proc, uapi.NETLINK_ROUTE);
    await client.set(uapi.NETLINK_EXT_ACK);
    await client.send(message(uapi.RTM_GETLINK, uapi.NLM_F_REQUEST, 1, Uint8Array.of(7)));
    expect((await client.one()).payload[0]).toBe(7);
    await client.send(message(uapi.RTM_GETLINK, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, 2, Uint8Array.of(1, 2)));
    const dumped = await client.receive();
    expect(dumped.map((m) => [m.payload[0], m.hdr.nlmsg_flags])).toEqual([1, 2].map((v) => [v, uapi.NLM_F_MULTI | uapi.NLM_F_DUMP_FILTERED]));
    expect((await client.one()).hdr.nlmsg_type).toBe(uapi.NLMSG_DONE);
    expect(await client.ack(message(uapi.RTM_NEWLINK, uapi.NLM_F_REQUEST, 3, new Uint8Array(4)))).toMatchObject({ error: -uapi.EINVAL, msg: 'mtu greater than device maximum' });
    await client.set(uapi.NETLINK_ADD_MEMBERSHIP, 1);
    k.netlink_broadcast(uapi.NETLINK_ROUTE, 1, message(uapi.RTM_NEWLINK, 0, 0, Uint8Array.of(9)));
    expect((await client.one()).payload[0]).toBe(9);
    expect(k.netlink_leftovers()).toContain('netlink protocol 0');
    k.netlink_kernel_release(uapi.NETLINK_ROUTE);
    expect(await errnoOf(() => client.send(message(uapi.RTM_GETLINK, uapi.NLM_F_REQUEST, 4, new Uint8Array(4))))).toBe('ECONNREFUSED');
  });
});

test('poll tells when there is something to read', async () => {
  const { k, user } = await bootNetlink();
  await user(async (proc) => {
    const client = await Client.open(k, proc);
    const ready = async (): Promise<number> => (await k.ksys_poll(proc, [{ fd: client.fd, events: uapi.POLLIN | uapi.POLLOUT }], 0))[0] ?? 0;
    expect(await ready()).toBe(uapi.POLLOUT);
    await client.send(client.request(16, 99));
    expect(await ready()).toBe(uapi.POLLIN | uapi.POLLOUT);
  });
});

test('nla_parse and the builder serve nests', async () => {
  const { k, run } = await bootNetlink();
  await run(async () => {
    const msg = k.nlmsg_builder();
    const nest = msg.nestStart(1 | uapi.NLA_F_NESTED);
    msg.putU16(2, 515);
    msg.nestEnd(nest);
    const outer = k.nla_parse(msg.bytes(), { 1: { type: 'nested' } }, 1);
    expect(k.nla_parse(outer.bytes(1), { 2: { type: 'u16' } }, 2).u16(2)).toBe(515);
    expect(await errnoOf(async () => k.nla_parse(outer.bytes(1), { 2: { type: 'u8' } }, 2))).toBe('EINVAL');
  });
});

test('whatever bytes are sent, the kernel answers or ignores them and stays whole', async () => {
  const { k, user, leftovers } = await bootNetlink();
  const family = toyFamily({ policy: { 1: { type: 'nul_string', maxlen: 8 }, 2: { type: 'u32' }, 3: { type: 'nested' } }, ops: [{ cmd: 1, doit: async () => undefined, dumpit: async () => undefined }] });
  await user(async (proc) => {
    k.genl_register_family(family);
    const client = await Client.open(k, proc);
    const id = await resolve(client, 'toy');
    const random = fc.sample(fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 80 }),
      fc.record({ type: fc.constantFrom(id, 16, 17, 3), flags: fc.nat(0xffff), body: fc.uint8Array({ maxLength: 60 }) })
        .map(({ type, flags, body }) => message(type, flags | uapi.NLM_F_REQUEST, 1, body)),
    ), { numRuns: 400, seed: 7 });
    for (const bytes of random) {
      await client.send(bytes);
      while (await errnoOf(() => client.receive()) === 'ok');
    }
    expect(await resolve(client, 'toy')).toBe(id);
    k.genl_unregister_family(family);
  });
  expect(leftovers()).toEqual([]);
});

/** Whatever is sent to NETLINK_ROUTE, the kernel answers it or drops it, and who has no capability changes nothing. */
import { isKernelError } from '@vdpalab/abi';
import * as uapi from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bootNet, type NetKernel } from './testing/kernel.ts';

const attribute = fc.record({
  type: fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 0xffff })),
  payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom('lo', 'eth0', '', 'a/b', 'n'.repeat(20)).map((name) => uapi.utf8Encode(`${name}\0`))),
  /** Bytes the length says beyond what is there, or short of it. */
  lie: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -20, max: 20 }) }),
  /** Puts it into a nest: IFLA_VFINFO_LIST and IFLA_VF_INFO are. */
  nests: fc.array(fc.integer({ min: 1, max: 22 }), { maxLength: 2 }),
});

const request = fc.record({
  type: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(uapi.RTM_NEWLINK, uapi.RTM_GETLINK, uapi.RTM_SETLINK, uapi.RTM_DELLINK, uapi.RTM_GETADDR) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 200 }) }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  index: fc.constantFrom(-1, 0, 2, 2, 3, 4), // not the loopback device, which would be left under another name
  change: fc.constantFrom(0, 1, 0x100, 0xffff_ffff),
  attributes: fc.array(attribute, { maxLength: 5 }),
  cut: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) }),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

function attributeBytes({ type, payload, lie, nests }: Request['attributes'][number]): Uint8Array {
  const b = new uapi.NlaBuilder();
  const open = nests.map((nest) => b.nestStart(nest));
  b.put(type, payload);
  for (const nest of open.toReversed()) b.nestEnd(nest);
  const bytes = b.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint16(0, (view.getUint16(0, true) + lie) & 0xffff, true);
  return bytes;
}

function bytesOf({ type, flags, index, change, attributes, cut }: Request): Uint8Array {
  const body = [uapi.ifinfomsg.encode({ ifi_index: index, ifi_flags: 1, ifi_change: change }), ...attributes.map(attributeBytes)].flatMap((part) => [...part]);
  const bytes = [...uapi.nlmsghdr.encode({ nlmsg_len: uapi.NLMSG_HDRLEN + body.length - cut, nlmsg_type: type, nlmsg_flags: flags | uapi.NLM_F_REQUEST }), ...body];
  return Uint8Array.from(bytes.slice(0, Math.max(1, bytes.length - cut)));
}

async function storm(kernel: NetKernel, messages: readonly Request[], as: { caps?: readonly number[] }): Promise<void> {
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const fd = await k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_ROUTE);
    for (const message of messages) {
      await k.ksys_sendmsg(proc, fd, bytesOf(message), null);
      for (let more = true; more;) {
        try {
          expect((await k.ksys_recvmsg(proc, fd, 65536, uapi.MSG_DONTWAIT)).bytes.length).toBeGreaterThanOrEqual(uapi.NLMSG_HDRLEN);
        } catch (error) {
          if (!isKernelError(error)) throw error;
          more = error.errno === 'ENOBUFS';
        }
      }
    }
    await k.ksys_close(proc, fd);
  }, as);
}

test('anything sent is answered or dropped, and the interface can be taken away as ever', async () => {
  await fc.assert(fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (messages) => {
    const kernel = await bootNet();
    const { dev } = await kernel.device('eth%d');
    await storm(kernel, messages, {});
    await kernel.run(async () => {
      await kernel.k.unregister_netdev(dev);
      kernel.k.free_netdev(dev);
    });
    expect(kernel.leftovers()).toEqual([]);
  }), { numRuns: 60 });
});

test('who has no capability changes nothing, whatever is sent', async () => {
  const kernel = await bootNet();
  const { dev } = await kernel.device('eth%d');
  const seen = (): unknown => [dev.name, dev.flags, dev.mtu, [...dev.dev_addr], kernel.uevents()];
  seen();
  const before = seen();
  await fc.assert(fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (messages) => {
    await storm(kernel, messages, { caps: [] });
    expect(seen()).toEqual(before);
  }), { numRuns: 100 });
});

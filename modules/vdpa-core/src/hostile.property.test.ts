/** Whatever is sent to the family, the kernel answers it or drops it, and nothing is left or changed by who may not. */
import { isKernelError } from '@vdpalab/abi';
import { FAKE_PARENT } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bootVdpa, type VdpaKernel } from './testing/kernel.ts';

/** An attribute with a header that may lie. */
const attribute = fc.record({
  type: fc.oneof(fc.integer({ min: 0, max: 0x1f }), fc.integer({ min: 0, max: 0xffff })),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc.constantFrom('x', FAKE_PARENT, '', 'a/b', 'n'.repeat(70)).map((name) => uapi.utf8Encode(`${name}\0`)),
    fc.constantFrom(0, 1, 67, 68, 0xffff).map((n) => Uint8Array.of(n & 0xff, n >> 8)),
  ),
  /** Bytes the length says beyond what is there, or short of it. */
  lie: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -20, max: 20 }) }),
});

const request = fc.record({
  family: fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) }),
  cmd: fc.integer({ min: 0, max: 10 }),
  flags: fc.oneof(fc.constant(uapi.NLM_F_ACK), fc.constant(uapi.NLM_F_DUMP), fc.integer({ min: 0, max: 0xffff })),
  attributes: fc.array(attribute, { maxLength: 5 }),
  lie: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -40, max: 40 }) }),
  cut: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 30 }) }),
});

type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

function bytesOf({ family, cmd, flags, attributes, lie, cut }: Request, vdpa: number): Uint8Array {
  const parts = attributes.map(({ type, payload, lie: by }) => {
    const out = new Uint8Array(uapi.NLA_HDRLEN + Math.ceil(payload.length / 4) * 4);
    const view = new DataView(out.buffer);
    view.setUint16(0, (uapi.NLA_HDRLEN + payload.length + by) & 0xffff, true);
    view.setUint16(2, type, true);
    out.set(payload, uapi.NLA_HDRLEN);
    return out;
  });
  const body = [uapi.genlmsghdr.encode({ cmd, version: 1 }), ...parts].flatMap((part) => [...part]);
  const head = uapi.nlmsghdr.encode({
    nlmsg_len: Math.max(0, uapi.NLMSG_HDRLEN + body.length + lie), nlmsg_type: family ?? vdpa, nlmsg_flags: flags | uapi.NLM_F_REQUEST, nlmsg_seq: 7,
  });
  return Uint8Array.from([...head, ...body]).slice(0, Math.max(1, head.length + body.length - cut));
}

/** Send all of it on one socket and read what comes. */
async function storm(kernel: VdpaKernel, messages: readonly Request[], caps?: readonly number[]): Promise<string[]> {
  const { k } = kernel;
  return kernel.tool(async (tool, proc) => {
    const vdpa = tool.family;
    const fd = await k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_GENERIC);
    for (const message of messages) {
      await k.ksys_sendmsg(proc, fd, bytesOf(message, vdpa), null);
      for (;;) {
        try {
          const { bytes } = await k.ksys_recvmsg(proc, fd, 65536, uapi.MSG_DONTWAIT);
          for (let at = 0; at < bytes.length;) {
            const { nlmsg_len } = uapi.nlmsghdr.decode(bytes, at);
            expect(nlmsg_len).toBeGreaterThanOrEqual(uapi.NLMSG_HDRLEN);
            at += uapi.NLMSG_ALIGN(nlmsg_len);
          }
        } catch (error) {
          if (!isKernelError(error) || !['EAGAIN', 'ENOBUFS'].includes(error.errno)) throw error;
          if (error.errno === 'EAGAIN') break;
        }
      }
    }
    await k.ksys_close(proc, fd);
    return k.bus_devices(kernel.bus).map((dev) => dev.name);
  }, caps === undefined ? undefined : { caps });
}

test('anything sent is answered or dropped, devices that were made can be listed, and all of it goes again', async () => {
  await fc.assert(fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (messages) => {
    const kernel = await bootVdpa();
    const names = await storm(kernel, messages);
    await kernel.tool(async (tool) => {
      const { result, messages: listed } = await tool.dump(uapi.VDPA_CMD_DEV_GET);
      expect([result, listed.length]).toEqual(['ok', names.length]);
    });
    expect(await kernel.gone()).toEqual([]);
  }), { numRuns: 60 });
});

test('who has no capability changes nothing, whatever is sent', async () => {
  const kernel = await bootVdpa();
  await kernel.tool((tool) => tool.add('vdpa0', FAKE_PARENT));
  await fc.assert(fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (messages) => {
    expect(await storm(kernel, messages, [])).toEqual(['vdpa0']);
  }), { numRuns: 100 });
  expect(await kernel.gone()).toEqual([]);
});

/** An interface over a virtual function: eth0, packet sockets, and the switch outside. */
import { KernelError } from '@vdpalab/abi';
import type {} from '@vdpalab/iommu';
import type { NetDevice } from '@vdpalab/netdev';
import type {} from '@vdpalab/sched';
import type {} from '@vdpalab/driver-core';
import { covers } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { describe, expect, it } from 'vitest';
import { bootChain, PF, VF } from './kernel.ts';
import type { ChainKernel, ChainOptions } from './kernel.ts';

const OUTSIDE = Uint8Array.of(2, 0, 0, 0, 0, 9);
const ETHERTYPE = 0x88b5; // local experimental

function frame(to: Uint8Array, from: Uint8Array, length = 60, fill = 0x5a): Uint8Array {
  const bytes = new Uint8Array(length).fill(fill);
  bytes.set(to, 0);
  bytes.set(from, 6);
  bytes.set([ETHERTYPE >> 8, ETHERTYPE & 0xff], 12);
  return bytes;
}

/** A kernel with eth0 over the first VF, up. */
async function eth0(options: ChainOptions = {}): Promise<{ kernel: ChainKernel; dev: NetDevice }> {
  const kernel = await bootChain({ moreBuiltins: ['netdev'], more: ['virtio-net'], ...options });
  await kernel.sriov(1);
  expect(await kernel.devAdd('vdpa0')).toBe(0);
  const dev = kernel.k.dev_get_by_name('eth0')!;
  await kernel.run(() => kernel.k.dev_open(dev));
  return { kernel, dev };
}

/** Send through a packet socket. */
function send(kernel: ChainKernel, dev: NetDevice, frames: readonly Uint8Array[]): Promise<void> {
  const { k } = kernel;
  return kernel.user(async (proc) => {
    const fd = await k.ksys_socket(proc, uapi.AF_PACKET, uapi.SOCK_RAW, 0);
    const to = uapi.sockaddr_ll.encode({ sll_family: uapi.AF_PACKET, sll_ifindex: dev.ifindex });
    for (const bytes of frames) await k.ksys_sendmsg(proc, fd, bytes, to);
    await k.ksys_close(proc, fd);
  });
}

/** What a packet socket hears while `body` runs. */
function listen(kernel: ChainKernel, dev: NetDevice, count: number, body: () => void): Promise<Uint8Array[]> {
  const { k } = kernel;
  return kernel.user(async (proc) => {
    const fd = await k.ksys_socket(proc, uapi.AF_PACKET, uapi.SOCK_RAW, 0);
    await k.ksys_bind(proc, fd, uapi.sockaddr_ll.encode({
      sll_family: uapi.AF_PACKET, sll_ifindex: dev.ifindex, sll_protocol: uapi.ETH_P_ALL,
    }));
    body();
    const heard: Uint8Array[] = [];
    while (heard.length < count) heard.push((await k.ksys_recvmsg(proc, fd, 65_536)).bytes);
    await k.ksys_close(proc, fd);
    return heard;
  });
}

async function end(kernel: ChainKernel): Promise<void> {
  expect(await kernel.devDel('vdpa0')).toBe(0);
  expect(await kernel.echo('0\n', `/sys/bus/pci/devices/${PF}/sriov_numvfs`)).toBe('ok');
  expect(await kernel.echo(`${PF}\n`, '/sys/bus/pci/drivers/pci-pf-stub/unbind')).toBe('ok');
  expect(kernel.leftovers()).toEqual([]);
  expect(kernel.k.iommu_faults()).toEqual([]);
}

describe('virtio_net over a virtual function', () => {
  it('makes eth0 with the device\'s address and MTU, and a frame goes out and another comes in', async () => {
    covers('1.2.1');
    const { kernel, dev } = await eth0();
    expect([...dev.dev_addr]).toEqual([...kernel.vf().net.bytes.subarray(0, 6)]);
    expect([dev.mtu, dev.min_mtu, dev.max_mtu, dev.carrier, dev.dev.parent?.name]).toEqual([1500, 68, 1500, true, 'virtio0']);
    expect(await kernel.readlink('/sys/class/net/eth0')).toMatch(new RegExp(`${VF}/virtio0/net/eth0$`));
    const out = frame(new Uint8Array(6).fill(0xff), dev.dev_addr);
    await send(kernel, dev, [out]);
    expect(kernel.outside.take()).toEqual([out]);
    const into = frame(dev.dev_addr, OUTSIDE, 1514, 7);
    expect(await listen(kernel, dev, 1, () => void kernel.outside.inject(into))).toEqual([into]);
    expect(dev.stats).toMatchObject({ tx_packets: 1, tx_bytes: 60, rx_packets: 1, rx_bytes: 1514, rx_dropped: 0 });
    await end(kernel);
  });

  it('announces the device, its virtio face, the interface, and then who drives them', async () => {
    const kernel = await bootChain({ moreBuiltins: ['netdev'], more: ['virtio-net'] });
    await kernel.sriov(1);
    kernel.uevents();
    await kernel.devAdd('vdpa0');
    const events = kernel.uevents().map((event) => event.replace(/\/.*\//, ''));
    expect(events.filter((event) => !event.includes('queue') && !/[rt]x-/.test(event)))
      .toEqual(['add@vdpa0', 'add@virtio0', 'add@eth0', 'bind@virtio0', 'bind@vdpa0']);
    await end(kernel);
  });

  it('leaves nothing when its probe fails, at whichever step', async () => {
    covers('1.4.5');
    const fallible = ['alloc_etherdev_mqs', 'virtio_find_vqs', 'alloc_pages', 'register_netdevice', 'virtio_device_ready'];
    const seen: string[] = [];
    for (let n = 1; ; n++) {
      let left = 0;
      let fired: string | null = null;
      const kernel = await bootChain({
        moreBuiltins: ['netdev'], more: ['virtio-net'],
        wrap(symbol, value, importer) {
          if (importer !== 'virtio_net' || !fallible.includes(symbol)) return value;
          return (...args: unknown[]): unknown => {
            if (left === 0 || --left > 0) return (value as (...args: unknown[]) => unknown)(...args);
            fired = symbol;
            throw new KernelError('ENOMEM', 'test.injected', `${symbol}: injected`);
          };
        },
      });
      await kernel.sriov(1);
      left = n;
      expect(await kernel.devAdd('vdpa0')).toBe(0);
      left = 0;
      if (fired === null) break;
      seen.push(fired);
      expect([fired, kernel.k.netdevs().map((d) => d.name), kernel.vf().common.status & 0x84]).toEqual([fired, [], 0x80]);
      await end(kernel);
    }
    expect(seen.toSorted()).toEqual(fallible.toSorted());
  });

  it('fills its ring later when memory is short', async () => {
    let short = false;
    const { kernel, dev } = await eth0({
      wrap: (symbol, value, importer) => importer !== 'virtio_net' || symbol !== 'alloc_pages' ? value : (pages: number) => {
        if (short) throw new KernelError('ENOMEM', 'test.injected', 'no pages');
        return (value as (pages: number) => unknown)(pages);
      },
    });
    await kernel.run(() => kernel.k.dev_close(dev));
    const many = Array.from({ length: 300 }, (_, i) => frame(dev.dev_addr, OUTSIDE, 60, i & 0xff));
    await kernel.run(async () => {
      short = true;
      await kernel.k.dev_open(dev);
      for (const bytes of many.slice(0, 256)) kernel.outside.inject(bytes);
      await kernel.k.msleep(100);
      short = false;
    });
    expect(dev.stats.rx_packets).toBe(256); // nothing was lost, and the ring was empty for a while
    expect(await listen(kernel, dev, 1, () => void kernel.outside.inject(many[299]!))).toEqual([many[299]]);
    await end(kernel);
  });

  it('carries many frames both ways, more than its rings hold', async () => {
    const { kernel, dev } = await eth0({ queueSize: 64 });
    const outgoing = Array.from({ length: 300 }, (_, i) => frame(new Uint8Array(6).fill(0xff), dev.dev_addr, 60 + i, i & 0xff));
    await send(kernel, dev, outgoing);
    await kernel.settle();
    expect(kernel.outside.take()).toEqual(outgoing);
    for (let round = 0; round < 10; round++) {
      const incoming = Array.from({ length: 30 }, (_, i) => frame(dev.dev_addr, OUTSIDE, 60 + round, i));
      expect(await listen(kernel, dev, 30, () => incoming.forEach((bytes) => kernel.outside.inject(bytes)))).toEqual(incoming);
    }
    await end(kernel);
  });

  it('receives a frame larger than a page in several buffers', async () => {
    const { kernel, dev } = await eth0({ mtu: 9000 });
    expect([dev.mtu, dev.max_mtu]).toEqual([9000, 9000]);
    const jumbo = Uint8Array.from(frame(dev.dev_addr, OUTSIDE, 9014), (byte, i) => (i < 14 ? byte : i & 0xff));
    expect(await listen(kernel, dev, 1, () => void kernel.outside.inject(jumbo))).toEqual([jumbo]);
    const back = Uint8Array.from(jumbo);
    back.set(new Uint8Array(6).fill(0xff), 0);
    back.set(dev.dev_addr, 6);
    await send(kernel, dev, [back]);
    expect(kernel.outside.take()).toEqual([back]);
    await end(kernel);
  });

  it('follows the link of the device', async () => {
    const { kernel, dev } = await eth0();
    kernel.vf().setLink(false);
    await kernel.settle();
    expect(dev.carrier).toBe(false);
    kernel.vf().setLink(true);
    await kernel.settle();
    expect(dev.carrier).toBe(true);
    await end(kernel);
  });

  it('closes and opens again, and keeps what it was', async () => {
    const { kernel, dev } = await eth0();
    await kernel.run(() => kernel.k.dev_close(dev));
    kernel.outside.inject(frame(dev.dev_addr, OUTSIDE));
    await kernel.settle();
    await kernel.run(() => kernel.k.dev_open(dev));
    const into = frame(dev.dev_addr, OUTSIDE, 99);
    const heard = await listen(kernel, dev, 1, () => void kernel.outside.inject(into));
    expect(heard.at(-1)).toEqual(into);
    await end(kernel);
  });

  it('works for any order of events, with one vector or all, with an IOMMU or none', async () => {
    for (const [seed, options] of [[11, {}], [12, { iommu: false }], [13, { queuePairs: 2 }], [14, { vectors: 2 }], [15, { vectors: 1 }]] as const) {
      const { kernel, dev } = await eth0({ seed, ...options });
      const out = [1, 2, 3].map((i) => frame(new Uint8Array(6).fill(0xff), dev.dev_addr, 60, i));
      await send(kernel, dev, out);
      await kernel.settle();
      expect(kernel.outside.take()).toEqual(out);
      const into = [1, 2, 3].map((i) => frame(dev.dev_addr, OUTSIDE, 60, i));
      expect(await listen(kernel, dev, 3, () => into.forEach((bytes) => kernel.outside.inject(bytes)))).toEqual(into);
      await end(kernel);
    }
  });
});

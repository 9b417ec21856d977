import { errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { NetDevice, SkBuff } from './header.ts';
import { bootNet, frame } from './testing/kernel.ts';
import type { NetKernel } from './testing/kernel.ts';

/** Send one frame. @returns the errno, or 'ok' */
function send(kernel: NetKernel, dev: NetDevice, length = 60, protocol = 0x0800): Promise<string> {
  const skb = kernel.k.alloc_skb(length, 16);
  kernel.k.skb_store_bits(skb, frame('02:00:00:00:00:02', protocol, length));
  skb.dev = dev;
  return errnoOf(() => kernel.k.dev_queue_xmit(skb));
}

describe('sending', () => {
  it('hands frames to the driver in order, at once', async () => {
    const kernel = await bootNet();
    const { dev, sent } = await kernel.device('eth%d');
    await kernel.run(() => kernel.k.dev_open(dev));
    expect([await send(kernel, dev, 60), await send(kernel, dev, 1514)]).toEqual(['ok', 'ok']);
    expect(sent.map(({ length }) => length)).toEqual([60, 1514]);
  });

  it('is refused while the device is down, and for frames beyond the MTU', async () => {
    const kernel = await bootNet();
    const { dev, sent } = await kernel.device('eth%d');
    expect(await send(kernel, dev)).toBe('ENETDOWN');
    await kernel.run(() => kernel.k.dev_open(dev));
    expect([await send(kernel, dev, 1515), await send(kernel, dev, 1518, 0x8100), await send(kernel, dev, 1519, 0x8100)]).toEqual(['EMSGSIZE', 'ok', 'EMSGSIZE']);
    expect([sent.length, kernel.k.netdev_leftovers()]).toEqual([1, ['network device eth0 (registered)']]);
  });

  it('waits for a driver without room, and goes on in order when it is woken', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const taken: number[] = [];
    let room = 2;
    const { dev } = await kernel.device('eth%d', {
      ndo_start_xmit(skb: SkBuff, one) {
        if (room === 0) {
          k.netif_stop_queue(one);
          return 'NETDEV_TX_BUSY';
        }
        room--;
        taken.push(skb.len);
        k.kfree_skb(skb);
        return 'NETDEV_TX_OK';
      },
    });
    await kernel.run(() => k.dev_open(dev));
    for (const length of [60, 61, 62, 63]) expect(await send(kernel, dev, length)).toBe('ok');
    expect([taken, dev.queue_stopped]).toEqual([[60, 61], true]);
    room = 100;
    k.netif_wake_queue(dev);
    expect(taken).toEqual([60, 61]);
    await kernel.settle();
    expect([taken, dev.queue_stopped]).toEqual([[60, 61, 62, 63], false]);
    k.netif_stop_queue(dev);
    await send(kernel, dev, 64);
    k.netif_start_queue(dev);
    await send(kernel, dev, 65);
    expect(taken.slice(4)).toEqual([64, 65]);
  });

  it('keeps at most 1000 frames, counts those beyond, and drops all when the device goes down', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev, sent } = await kernel.device('eth%d');
    await kernel.run(() => k.dev_open(dev));
    k.netif_stop_queue(dev);
    for (let i = 0; i < 1000; i++) await send(kernel, dev);
    expect([await send(kernel, dev), dev.stats.tx_dropped]).toEqual(['ENOBUFS', 1]);
    expect(k.netdev_leftovers()).toContain('1000 network frames');
    await kernel.run(() => k.dev_close(dev));
    expect([k.netdev_leftovers(), sent]).toEqual([['network device eth0 (registered)'], []]);
  });

  it('of many frames goes on over several turns', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev, sent } = await kernel.device('eth%d');
    await kernel.run(() => k.dev_open(dev));
    k.netif_stop_queue(dev);
    for (let i = 0; i < 200; i++) await send(kernel, dev);
    k.netif_wake_queue(dev);
    await kernel.settle();
    expect(sent).toHaveLength(200);
  });

  it('needs an interface', async () => {
    const { k } = await bootNet();
    expect(() => k.dev_queue_xmit(k.alloc_skb(60, 0))).toThrow('not a network device');
    expect(() => k.netif_receive_skb(k.alloc_skb(60, 0))).toThrow('not a network device');
  });
});

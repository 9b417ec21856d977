import { beforeEach, describe, expect, it } from 'vitest';
import { covers } from '@vdpalab/features';
import { Bench, n3000 } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';
import { ringStateOffset } from './lm-region.ts';

const bit = (n: number): bigint => 1n << BigInt(n);
const BASE = [32, 33, 36, 27, 28, 29, 3, 5, 15, 16].reduce((sum, n) => sum | bit(n), 0n);

let bench: Bench;
let driver: Driver;
beforeEach(() => {
  bench = new Bench([n3000()]);
  driver = bench.vfDriver(0, bench.enableVfs(bench.pf, 2));
});

describe('features', () => {
  it('are offered in two windows, and nothing beyond them', () => {
    expect(driver.offered).toBe(BASE);
    driver.w32(driver.common, 2);
    expect(driver.r32(driver.common + 4)).toBe(0);
  });

  it('have multiqueue and a control queue only with more than one pair', () => {
    const many = new Bench([n3000({ queue_pairs: 4 })]);
    const pf = many.pfDriver();
    expect(pf.offered).toBe(BASE | bit(22) | bit(17) | bit(23));
    expect([pf.r16(pf.common + 18), driver.r16(driver.common + 18)]).toEqual([9, 2]);
    expect(pf.r16(pf.device + 8)).toBe(4);
  });

  it('are accepted when all were offered, refused when one was not', () => {
    expect(driver.negotiate()).toBe(11);
    expect(driver.negotiate([22])).toBe(3);
    expect(driver.negotiate([60])).toBe(3);
  });

  it('read back as written, and stay once they are agreed on', () => {
    driver.negotiate();
    const read = (): number[] => [0, 1].map((select) => {
      driver.w32(driver.common + 8, select);
      return driver.r32(driver.common + 12);
    });
    expect(read()).toEqual([0x2000_0000, 3]);
    driver.w32(driver.common + 12, 0);
    expect(read()).toEqual([0x2000_0000, 3]);
  });
});

describe('status', () => {
  it('resets everything when 0 is written, before it reads back', () => {
    driver.start();
    driver.w16(driver.common + 16, 1);
    driver.status = 0;
    expect(driver.status).toBe(0);
    expect([driver.r16(driver.common + 16), driver.r16(driver.common + 22)]).toEqual([0xffff, 0]);
    expect([24, 26, 28].map((at) => driver.r16(driver.common + at))).toEqual([1024, 0xffff, 0]);
    expect([32, 36, 40, 44, 48, 52].map((at) => driver.r32(driver.common + at))).toEqual([0, 0, 0, 0, 0, 0]);
    expect(driver.r32(driver.common + 12)).toBe(0);
    expect(driver.fn.counters.resets).toBe(2);
  });

  it('keeps NEEDS_RESET until the driver resets', () => {
    driver.negotiate();
    driver.w16(driver.common + 24, 100);
    driver.w16(driver.common + 28, 1);
    expect(driver.status).toBe(0x4b);
    driver.status = 15;
    expect(driver.status).toBe(0x4f);
    driver.status = 0;
    expect([driver.status, driver.fn.fault]).toEqual([0, null]);
  });
});

describe('queue registers', () => {
  it('show the selected queue, and nothing for one that is not there', () => {
    driver.w16(driver.common + 22, 1);
    expect([22, 24, 26, 28, 30].map((at) => driver.r16(driver.common + at))).toEqual([1, 1024, 0xffff, 0, 1]);
    driver.w16(driver.common + 22, 2);
    expect([22, 24, 26, 28, 30].map((at) => driver.r16(driver.common + at))).toEqual([2, 0, 0xffff, 0, 0]);
    driver.w16(driver.common + 24, 64);
    driver.w16(driver.common + 28, 1);
    driver.w32(driver.common + 32, 1);
    expect(driver.r32(driver.common + 32)).toBe(0);
  });

  it('keep a size that is a power of two up to the maximum, and cannot be enabled with another', () => {
    driver.negotiate();
    driver.w16(driver.common + 24, 256);
    expect(driver.r16(driver.common + 24)).toBe(256);
    for (const size of [0, 3, 2048]) {
      driver.negotiate();
      driver.w16(driver.common + 24, size);
      expect(driver.r16(driver.common + 24)).toBe(1024);
      driver.w16(driver.common + 28, 1);
      expect(driver.r16(driver.common + 28)).toBe(0);
      expect(driver.fn.fault).toEqual({ rule: 'virtio.queue-size', text: `queue 0: size ${size}, not a power of two up to 1024` });
    }
    driver.negotiate();
    driver.w16(driver.common + 24, 3);
    driver.w16(driver.common + 24, 8);
    driver.w16(driver.common + 28, 1);
    expect(driver.r16(driver.common + 28)).toBe(1);
  });

  it('do not change while the queue is enabled', () => {
    driver.negotiate();
    const queue = driver.setUp(0);
    driver.w16(driver.common + 24, 128);
    driver.w32(driver.common + 32, 0x1234);
    expect([driver.r16(driver.common + 24), driver.r32(driver.common + 32)]).toEqual([64, queue.desc >>> 0]);
  });

  it('give the reset value for a vector the function does not have', () => {
    driver.w16(driver.common + 26, 2);
    driver.w16(driver.common + 16, 2);
    expect([driver.r16(driver.common + 26), driver.r16(driver.common + 16)]).toEqual([2, 2]);
    driver.w16(driver.common + 26, 3);
    driver.w16(driver.common + 16, 3);
    expect([driver.r16(driver.common + 26), driver.r16(driver.common + 16)]).toEqual([0xffff, 0xffff]);
  });

  it('are read in any width, and written only in their own', () => {
    driver.w16(driver.common + 22, 1);
    expect([driver.r32(driver.common + 20) >>> 16, driver.r8(driver.common + 30), driver.r8(driver.common + 31)]).toEqual([1, 1, 0]);
    driver.w8(driver.common + 22, 0);
    driver.w32(driver.common + 24, 0);
    expect([driver.r16(driver.common + 22), driver.r16(driver.common + 24)]).toEqual([1, 1024]);
  });

  it('stop a queue when 0 is written to enable, and keep where it was', () => {
    driver.start();
    driver.send(new Uint8Array(64));
    driver.w16(driver.common + 22, 1);
    driver.w16(driver.common + 28, 0);
    expect(driver.r16(driver.common + 28)).toBe(0);
    expect(driver.r32(driver.lm + ringStateOffset('pairs', 1))).toBe(0);
  });
});

describe('network configuration', () => {
  it('has the address, status, pairs and MTU where the spec says', () => {
    const bytes = Array.from({ length: 12 }, (_, i) => driver.r8(driver.device + i));
    expect(bytes).toEqual([0x52, 0x54, 7, 0, 0, 1, 1, 0, 1, 0, 1500 & 0xff, 1500 >> 8]);
  });

  it('takes addresses from the lab file, and counts on from the physical function\'s', () => {
    const own = new Bench([n3000({ mac: '02:00:00:00:00:fe', vfs: { 1: { mac: '0a:0b:0c:0d:0e:0f' } } })]);
    own.enableVfs(own.pf, 3);
    const macs = [own.pf, ...own.pf.vfs].map((fn) => [...fn.net.bytes.subarray(0, 6)].map((b) => b.toString(16)).join(':'));
    expect(macs).toEqual(['2:0:0:0:0:fe', '2:0:0:0:0:ff', 'a:b:c:d:e:f', '2:0:0:0:1:1']);
  });

  it('says that the link is down without a network, and tells the driver when it changes', async () => {
    const [config] = (driver.negotiate(), driver.enableMsix());
    const generation = driver.r8(driver.common + 21);
    driver.fn.setLink(false);
    expect([driver.r16(driver.device + 6), driver.r8(driver.common + 21)]).toEqual([0, generation + 1]);
    await bench.hw.sched.run();
    expect(bench.interrupts).toEqual([]);
    driver.status = 15;
    driver.fn.setLink(true);
    driver.fn.setLink(true);
    await bench.hw.sched.run();
    expect(bench.interrupts).toEqual([config]);
    expect(new Bench([n3000({ link: undefined })]).pf.net.linkUp).toBe(false);
  });

  it('tells without MSI-X by the ISR byte, which a read clears', () => {
    driver.start();
    driver.fn.setLink(false);
    expect([driver.r8(driver.isr), driver.r8(driver.isr)]).toEqual([2, 0]);
  });
});

describe('the live migration region', () => {
  it('has its registers where IFCVF has them', () => {
    covers('2.9.4');
    driver.w32(driver.lm + 0x10, 0x1111_1000);
    driver.w32(driver.lm + 0x14, 1);
    driver.w32(driver.lm + 0x18, 0x2222_2000);
    driver.w32(driver.lm + 0x1c, 2);
    driver.w32(driver.lm + 0x00, 3);
    driver.w32(driver.lm + 0x20, 0x0005_0007);
    expect([0, 8, 0x10, 0x14, 0x18, 0x1c, 0x20].map((at) => driver.r32(driver.lm + at)))
      .toEqual([3, 0, 0x1111_1000, 1, 0x2222_2000, 2, 0x0005_0007]);
    expect(driver.fn.queues[0]!.state).toEqual({ lastAvail: 7, lastUsed: 5 });
    driver.w32(driver.lm, 2);
    expect(driver.r32(driver.lm)).toBe(0);
  });

  it('addresses ring state by pairs or one by one, as the profile says', () => {
    covers('2.9.5');
    expect([0, 1, 2, 3, 16].map((q) => ringStateOffset('pairs', q))).toEqual([0x20, 0x24, 0x60, 0x64, 0x220]);
    expect([0, 1, 2, 3, 16].map((q) => ringStateOffset('linear', q))).toEqual([0x20, 0x24, 0x28, 0x2c, 0x60]);
    for (const lm_profile of ['pairs', 'linear'] as const) {
      const many = new Bench([n3000({ queue_pairs: 8, lm_profile })]).pfDriver();
      for (let q = 0; q < 17; q++) many.w32(many.lm + ringStateOffset(lm_profile, q), (100 + q) | ((200 + q) << 16));
      expect(many.fn.queues.map((q) => [q.state.lastAvail, q.state.lastUsed]))
        .toEqual(Array.from({ length: 17 }, (_, q) => [100 + q, 200 + q]));
      for (let q = 0; q < 17; q++) expect(many.r32(many.lm + ringStateOffset(lm_profile, q))).toBe((100 + q) | ((200 + q) << 16));
    }
  });

  it('takes the available index alone, as Linux writes it: the used index becomes the same', () => {
    driver.w16(driver.lm + 0x24, 9);
    expect([driver.r32(driver.lm + 0x24), driver.r16(driver.lm + 0x24)]).toEqual([0x0009_0009, 9]);
    driver.w16(driver.lm + 0x26, 4);
    expect(driver.r32(driver.lm + 0x24)).toBe(0x0004_0009);
  });

  it('leaves the state of a queue that is enabled, and forgets all of it at a reset', () => {
    driver.start();
    driver.w32(driver.lm + 0x20, 5);
    expect(driver.r32(driver.lm + 0x20)).toBe(0);
    driver.status = 0;
    driver.w32(driver.lm + 0x20, 5);
    driver.w32(driver.lm + 0x00, 1);
    driver.status = 0;
    expect([driver.r32(driver.lm + 0x20), driver.r32(driver.lm)]).toEqual([0, 0]);
  });

  it('ignores what is neither a register nor a queue\'s', () => {
    for (const at of [0x04, 0x08, 0x60, 0x2c, 0xffc]) driver.w32(driver.lm + at, 7);
    expect([0x04, 0x08, 0x60, 0x2c, 0xffc].map((at) => driver.r32(driver.lm + at))).toEqual([0, 0, 0, 0, 0]);
  });
});

describe('doorbells', () => {
  it('lie on pages of their own and name their queue', () => {
    expect(driver.multiplier).toBe(4096);
    driver.start();
    driver.kick(1);
    driver.w16(driver.notify, 1);
    driver.w16(driver.notify + 4096, 0);
    driver.w32(driver.notify + 4096, 1);
    expect([driver.fn.counters.kicks, driver.fn.counters.badKicks]).toEqual([2, 2]);
    expect(driver.r32(driver.notify)).toBe(0);
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import { covers } from '@vdpalab/features';
import { Bench, n3000 } from '../n3000/driver.fixture.ts';
import { createPciHost } from './create.ts';
import type { PciSystem } from './create.ts';
import { RootPort } from './bridge.ts';
import { createMachine } from '../machine.ts';
import { PCI_MEM32, PCI_MEM64 } from '../memory-map.ts';

const ONES = 0xffff_ffff;
const BAR0 = 0x10;
const COMMAND = 0x04;

let bench: Bench;
beforeEach(() => {
  bench = new Bench([n3000()]);
});

describe('the host bridge', () => {
  it('answers all ones where nobody is, and loses writes there', () => {
    const { host } = bench.system;
    expect([host.configRead(7, 0x40, 0, 4), host.configRead(7, 0x40, 0, 2), host.configRead(7, 0x40, 0, 1)]).toEqual([ONES, 0xffff, 0xff]);
    host.configWrite(7, 0x40, 4, 2, 6);
    expect(bench.hw.machine.pci).toBe(host);
  });

  it('refuses cycles that are not aligned or leave the function', () => {
    const { host } = bench.system;
    expect(() => host.configRead(0, 0, 1, 2)).toThrow(RangeError);
    expect(() => host.configRead(0, 0, 4096, 1)).toThrow(RangeError);
    expect(() => host.configWrite(0, 0, -4, 4, 0)).toThrow(RangeError);
  });

  it('leads to a bus only while a root port does', () => {
    const port = bench.system.find('00:01.0')!;
    expect(bench.read(bench.pf, 0, 4)).toBe(0x1041_1af4);
    bench.write(port, 0x19, 1, 8);
    expect(bench.read(bench.pf, 0, 4)).toBe(ONES);
    bench.write(port, 0x19, 1, 7);
    expect(bench.read(bench.pf, 0, 4)).toBe(0x1041_1af4);
  });

  it('leads over links of 8 GT/s by 16, whose target is that speed until it is set', () => {
    for (const [fn, at] of [[bench.system.find('00:01.0')!, 0x40], [bench.pf, 0x90]] as const) {
      expect(bench.read(fn, at, 1)).toBe(0x10);
      expect([bench.read(fn, at + 0x0c, 4), bench.read(fn, at + 0x12, 2), bench.read(fn, at + 0x2c, 4), bench.read(fn, at + 0x30, 2)]).toEqual([0x103, 0x103, 0x0e, 3]);
      bench.write(fn, at + 0x30, 2, 0xffff);
      expect(bench.read(fn, at + 0x30, 2)).toBe(0x000f);
    }
  });

  it('shows itself and the root port with the bus numbers of the lab file', () => {
    const { host } = bench.system;
    expect(host.configRead(0, 0, 0x08, 4) >>> 16).toBe(0x0600);
    const port = bench.system.find('00:01.0')!;
    expect(port).toBeInstanceOf(RootPort);
    expect(bench.read(port, 0x0e, 1)).toBe(1);
    expect([bench.read(port, 0x18, 1), bench.read(port, 0x19, 1), bench.read(port, 0x1a, 1)]).toEqual([0, 7, 22]);
    expect(bench.read(port, 0x08, 4) >>> 8).toBe(0x06_0400);
    expect(bench.capability(port, 0x10)).not.toBe(0);
  });

  it('opens the windows of a root port over both windows of the machine', () => {
    const port = bench.system.find('00:01.0')!;
    const at = (where: number): number => bench.read(port, where, 2);
    const low = [(at(0x20) & 0xfff0) * 0x1_0000, (at(0x22) & 0xfff0) * 0x1_0000 + 0xf_ffff];
    const high = [
      bench.read(port, 0x28, 4) * 2 ** 32 + (at(0x24) & 0xfff0) * 0x1_0000,
      bench.read(port, 0x2c, 4) * 2 ** 32 + (at(0x26) & 0xfff0) * 0x1_0000 + 0xf_ffff,
    ];
    expect(low).toEqual([PCI_MEM32.base, PCI_MEM32.base + PCI_MEM32.size - 1]);
    expect(high).toEqual([PCI_MEM64.base, PCI_MEM64.base + PCI_MEM64.size - 1]);
  });

  it('has access control services in the port only when the lab file says so', () => {
    const build = (acs: boolean): PciSystem => createPciHost(
      createMachine({ seed: 1, ramBytes: 0x10_0000, iommu: true, cmdline: '', release: '', consoleSink: () => undefined }),
      { root_ports: [{ at: '00:02.0', bus: 1, buses: 1, acs }], functions: [] },
    );
    const first = (system: PciSystem): number => system.host.configRead(0, 0x10, 0x100, 4) & 0xffff;
    expect([first(build(true)), first(build(false))]).toEqual([0x000d, 0]);
  });

  it('refuses two functions at one routing id, virtual ones included', () => {
    expect(() => new Bench([n3000(), n3000({ at: '07:00.1', sriov: { total: 8, offset: 16, stride: 1 } })])).not.toThrow();
    expect(() => new Bench([n3000(), n3000({ at: '07:00.2' })])).toThrow('PCI: VF 0 of 07:00.0 and 07:00.2 share routing id 0x702');
    expect(() => new Bench([n3000({ at: '07:00.1', sriov: { total: 2, offset: 1, stride: 0xf8fe } })])).toThrow(/beyond the last bus/);
    expect(() => new Bench([n3000({ at: '7:0.0' })])).toThrow(/not a PCI address/);
  });

  it('resets everything behind a root port by its bridge control register', () => {
    const port = bench.system.find('00:01.0')!;
    bench.pfDriver().start();
    bench.enableVfs(bench.pf, 2);
    bench.write(port, 0x3e, 2, 0x40);
    bench.write(port, 0x3e, 2, 0);
    expect([bench.pf.common.status, bench.read(bench.pf, COMMAND, 2), bench.pf.vfs.length]).toEqual([0, 0, 0]);
    expect(bench.read(port, 0x19, 1)).toBe(7);
    expect(bench.hw.mmio.ranges()).toEqual([]);
  });

  it('links the physical functions of a bus by their ARI capabilities', () => {
    const none = { total: 0, offset: 2, stride: 1 };
    const three = new Bench(['07:00.0', '07:00.3', '07:01.0', '08:00.0'].map((at) => n3000({ at, sriov: none })));
    const next = (at: string): number => {
      const fn = three.function(at);
      return three.read(fn, three.extended(fn, 0x0e) + 4, 2) >>> 8;
    };
    expect([next('07:00.0'), next('07:00.3'), next('07:01.0'), next('08:00.0')]).toEqual([3, 8, 0, 0]);
  });

  it('marks functions that share a device number', () => {
    const two = new Bench([n3000({ sriov: { total: 0, offset: 2, stride: 1 } }), n3000({ at: '07:00.1' })]);
    expect([two.read(two.pf, 0x0e, 1), two.read(two.function('07:00.1'), 0x0e, 1), bench.read(bench.pf, 0x0e, 1)]).toEqual([0x80, 0x80, 0]);
  });
});

describe('BARs', () => {
  it('tell their size by all ones and open a window while decoding is on', () => {
    const { pf, hw } = bench;
    const base = bench.assign(pf, BAR0);
    expect(bench.read(pf, BAR0, 4) & 0xf).toBe(0x4);
    bench.write(pf, BAR0, 4, ONES);
    expect(bench.read(pf, BAR0, 4)).toBe(0xffff_c004);
    bench.write(pf, BAR0, 4, base >>> 0);
    expect(hw.mmio.read(base, 4)).toBe(ONES);
    bench.write(pf, COMMAND, 2, 2);
    expect(hw.mmio.read(base + 18, 2)).toBe(2);
    bench.write(pf, COMMAND, 2, 0);
    expect(hw.mmio.read(base + 18, 2)).toBe(0xffff);
    expect(hw.mmio.ranges()).toEqual([]);
  });

  it('move their window when the address changes while decoding is on', () => {
    const { pf, hw } = bench;
    const base = bench.assign(pf, BAR0);
    bench.write(pf, COMMAND, 2, 2);
    const other = bench.assign(pf, BAR0);
    expect([hw.mmio.read(base + 18, 2), hw.mmio.read(other + 18, 2)]).toEqual([0xffff, 2]);
    expect(hw.mmio.ranges().length).toBe(1);
  });

  it('open nothing outside the bridge\'s windows, in RAM or over another BAR', () => {
    const { pf, hw } = bench;
    bench.write(pf, COMMAND, 2, 2);
    const put = (bar: number, address: number): undefined => {
      bench.write(pf, BAR0 + 4 * bar, 4, address >>> 0);
      bench.write(pf, BAR0 + 4 * bar + 4, 4, Math.floor(address / 2 ** 32));
    };
    for (const address of [0x4000, PCI_MEM32.base - 0x4000, PCI_MEM64.base - 0x4000, PCI_MEM64.base + PCI_MEM64.size]) put(0, address);
    expect(hw.mmio.ranges()).toEqual([]);
    put(0, PCI_MEM64.base);
    put(4, PCI_MEM64.base + 0x1000);
    expect(hw.mmio.ranges().map((r) => r.handler.name)).toEqual(['07:00.0 BAR 0']);
    put(4, PCI_MEM64.base + 0x4000);
    expect(hw.mmio.ranges().map((r) => r.handler.name)).toEqual(['07:00.0 BAR 0', '07:00.0 BAR 4']);
    put(0, PCI_MEM32.base);
    expect(hw.mmio.read(PCI_MEM32.base + 18, 2)).toBe(2);
  });
});

describe('function level reset', () => {
  it('puts everything back to power-on and leaves neighbours alone', () => {
    const driver = bench.pfDriver();
    driver.start();
    const express = bench.capability(bench.pf, 0x10);
    bench.write(bench.pf, express + 8, 2, 0x8000);
    expect(bench.read(bench.pf, express + 8, 2) & 0x8000).toBe(0);
    expect([bench.read(bench.pf, COMMAND, 2), bench.read(bench.pf, BAR0, 4)]).toEqual([0, 4]);
    expect(bench.pf.common.status).toBe(0);
    expect(bench.pf.queues.every((q) => !q.enabled)).toBe(true);
    expect(bench.hw.mmio.ranges()).toEqual([]);
  });

  it('takes virtual functions away with the physical one', () => {
    bench.enableVfs(bench.pf, 3);
    const express = bench.capability(bench.pf, 0x10);
    bench.write(bench.pf, express + 8, 2, 0x8000);
    expect(bench.pf.vfs).toEqual([]);
    expect(bench.system.host.configRead(7, 2, 0, 4)).toBe(ONES);
  });

  it('of a virtual function leaves the others running', () => {
    const bars = bench.enableVfs(bench.pf, 2);
    const [a, b] = [bench.vfDriver(0, bars).start(), bench.vfDriver(1, bars).start()];
    const express = bench.capability(a.fn, 0x10);
    bench.write(a.fn, express + 8, 2, 0x8000);
    expect([a.status, b.status]).toEqual([0, 15]);
    expect(a.fn.busMaster).toBe(false);
  });
});

describe('SR-IOV', () => {
  const at = (): number => bench.extended(bench.pf, 0x10);

  it('describes its virtual functions', () => {
    const pos = at();
    expect([0x0c, 0x0e, 0x10, 0x14, 0x16, 0x1a].map((o) => bench.read(bench.pf, pos + o, 2))).toEqual([8, 8, 0, 2, 1, 0x1041]);
  });

  it('makes functions appear at offset and stride, with IFCVF\'s ids, and disappear', () => {
    covers('1.6.1');
    bench.enableVfs(bench.pf, 2);
    const { host } = bench.system;
    for (const devfn of [2, 3]) {
      expect(host.configRead(7, devfn, 0, 4)).toBe(0x1041_1af4);
      expect(host.configRead(7, devfn, 0x2c, 4)).toBe(0x001a_8086);
      expect(host.configRead(7, devfn, 0x08, 4) >>> 16).toBe(0x0200);
    }
    expect(host.configRead(7, 4, 0, 4)).toBe(ONES);
    expect(host.configRead(7, 0, 0x2c, 4)).toBe(0x0000_8086);
    bench.write(bench.pf, at() + 8, 2, 0);
    expect(host.configRead(7, 2, 0, 4)).toBe(ONES);
    expect(bench.hw.mmio.ranges()).toEqual([]);
  });

  it('gives each virtual function its part of the BARs, while memory space is enabled', () => {
    const bars = bench.enableVfs(bench.pf, 3);
    const mac = (i: number): number => bench.hw.mmio.read(bars[0]! + i * 0x4000 + 0x804, 2) >>> 8;
    expect([mac(0), mac(1), mac(2)]).toEqual([1, 2, 3]);
    expect(bench.hw.mmio.read(bars[2]! + 3 * 0x1000, 4)).toBe(ONES);
    bench.write(bench.pf, at() + 8, 2, 1);
    expect(bench.hw.mmio.read(bars[0]!, 4)).toBe(ONES);
    expect(bench.pf.vfs.length).toBe(3);
    for (const vf of bench.pf.vfs) expect(bench.read(vf, BAR0, 4)).toBe(0);
  });

  it('keeps their number while they exist, and ignores a number that is too large', () => {
    const pos = at();
    bench.write(bench.pf, pos + 0x10, 2, 9);
    bench.write(bench.pf, pos + 8, 2, 1);
    expect(bench.pf.vfs).toEqual([]);
    bench.write(bench.pf, pos + 8, 2, 0);
    bench.enableVfs(bench.pf, 2);
    bench.write(bench.pf, pos + 0x10, 2, 5);
    expect([bench.read(bench.pf, pos + 0x10, 2), bench.pf.vfs.length]).toEqual([2, 2]);
  });

  it('switches 256 functions of each of four devices on and off, and leaves nothing', () => {
    const all = new Bench([0, 1, 2, 3].map((i) => n3000({
      at: `${(7 + 2 * i).toString(16).padStart(2, '0')}:00.0`, sriov: { total: 256, offset: 1, stride: 1 },
    })));
    const pfs = [...all.system.functions.values()] as Bench['pf'][];
    const lan = all.system.networks.get('lan')!;
    for (const pf of pfs) all.enableVfs(pf, 256);
    expect(pfs.map((pf) => pf.vfs.length)).toEqual([256, 256, 256, 256]);
    expect(lan.ports.length).toBe(4 + 1024);
    expect(all.system.host.configRead(8, 0, 0, 4)).toBe(0x1041_1af4);
    for (const pf of pfs) all.write(pf, all.extended(pf, 0x10) + 8, 2, 0);
    expect(lan.ports.length).toBe(4);
    expect(all.system.host.functions().length).toBe(4 + 2);
    expect(all.hw.leftovers()).toEqual([]);
  });

  it('is absent when the lab file gives no virtual functions', () => {
    const none = new Bench([n3000({ sriov: { total: 0, offset: 2, stride: 1 } })]);
    expect(none.extended(none.pf, 0x10)).toBe(0);
    expect(none.pf.vfs).toEqual([]);
  });
});

describe('MSI-X', () => {
  it('keeps a masked vector pending and delivers it when it is unmasked', async () => {
    const driver = bench.pfDriver();
    const [vector] = driver.enableMsix();
    const msix = bench.pf.msix!;
    driver.w32(driver.msixTable + 12, 1);
    expect(msix.fire(0)).toBe(true);
    await bench.hw.sched.run();
    expect([bench.interrupts, driver.r32(driver.msixTable + 0x1000)]).toEqual([[], 1]);
    driver.w32(driver.msixTable + 12, 0);
    await bench.hw.sched.run();
    expect([bench.interrupts, driver.r32(driver.msixTable + 0x1000)]).toEqual([[vector], 0]);
    driver.w32(driver.msixTable + 12, 1);
    driver.w32(driver.msixTable + 12, 0);
    await bench.hw.sched.run();
    expect(bench.interrupts).toEqual([vector]);
  });

  it('keeps vectors pending behind the function mask, and while the function is not bus master', async () => {
    const driver = bench.pfDriver();
    const vectors = driver.enableMsix();
    const at = bench.capability(bench.pf, 0x11);
    bench.write(bench.pf, at + 2, 2, 0xc000);
    bench.pf.msix!.fire(2);
    await bench.hw.sched.run();
    expect(bench.interrupts).toEqual([]);
    bench.write(bench.pf, COMMAND, 2, 2);
    bench.write(bench.pf, at + 2, 2, 0x8000);
    await bench.hw.sched.run();
    expect(bench.interrupts).toEqual([]);
    bench.write(bench.pf, COMMAND, 2, 6);
    await bench.hw.sched.run();
    expect(bench.interrupts).toEqual([vectors[2]]);
    expect(bench.pf.msix!.sent).toBe(1);
  });

  it('fires nothing while it is off, nor a vector it does not have', () => {
    expect(bench.pf.msix!.fire(0)).toBe(false);
    bench.pfDriver().enableMsix();
    expect([bench.pf.msix!.fire(3), bench.pf.msix!.fire(2)]).toEqual([false, true]);
  });

  it('sends its messages with the function\'s requester id: another\'s vector stays silent', async () => {
    const bars = bench.enableVfs(bench.pf, 2);
    const [a, b] = [bench.vfDriver(0, bars), bench.vfDriver(1, bars)];
    a.enableMsix();
    b.enableMsix();
    for (const offset of [0, 4, 8]) b.w32(b.msixTable + offset, a.r32(a.msixTable + offset));
    b.fn.msix!.fire(0);
    await bench.hw.sched.run();
    expect(bench.interrupts).toEqual([]);
    expect(bench.hw.iommu!.faults.map((f) => [f.rid, f.reason])).toEqual([[0x703, 'blocked']]);
  });

  it('keeps the table as bytes of any width', () => {
    const driver = bench.pfDriver();
    driver.w8(driver.msixTable + 9, 0x12);
    driver.w16(driver.msixTable + 10, 0x3456);
    expect([driver.r32(driver.msixTable + 8), driver.r8(driver.msixTable + 11), driver.r16(driver.msixTable + 8)]).toEqual([0x3456_1200, 0x34, 0x1200]);
    driver.w32(driver.msixTable + 12, ONES);
    expect(driver.r32(driver.msixTable + 12)).toBe(1);
    driver.w32(driver.msixTable + 16 * 64, 1);
    expect(driver.r32(driver.msixTable + 16 * 64)).toBe(0);
  });

  it('survives a message address no memory reaches', () => {
    const driver = bench.pfDriver();
    driver.enableMsix();
    driver.w32(driver.msixTable + 4, ONES);
    expect(bench.pf.msix!.fire(0)).toBe(true);
  });
});

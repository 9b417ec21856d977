import { KernelError } from '@vdpalab/abi';
import type { NetDevice, NetDeviceOps } from '@vdpalab/netdev';
import type { IoMem, PciDev, PciDriver } from '@vdpalab/pci';
import { errnoOf, startModule } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import n3000Pf from './module.ts';

/** A function with four virtual ones, whose registers note what is written. */
async function started(failing: 'pcim_enable_device' | 'pcim_iomap_regions' | 'register_netdev' | null = null) {
  const log: string[] = [];
  const drivers: PciDriver[] = [];
  const written: (readonly [number, number])[] = [];
  let ops: NetDeviceOps | null = null;
  let drvdata: unknown = null;
  const regs = {
    read8: (offset: number) => offset & 0xff, read32: (offset: number) => ({ 0x1004: 0x0403_0201, 0x1008: 0x0605 }[offset] ?? 0xe064),
    write32: (offset: number, value: number): undefined => void written.push([offset, value]),
  } as unknown as IoMem; // what the driver uses of a window
  const netdev = { name: 'eth0', stats: { tx_dropped: 0 } } as unknown as NetDevice; // what the driver looks at
  const may = (step: typeof failing): undefined => {
    if (failing === step) throw new KernelError('ENOMEM', 'test.step', `${step} fails`);
    log.push(String(step));
  };
  const running = await startModule(n3000Pf, {
    __pci_register_driver: async (drv) => void drivers.push(drv), pci_unregister_driver: async (drv) => void drivers.splice(drivers.indexOf(drv), 1),
    pcim_enable_device: () => may('pcim_enable_device'), pcim_iomap_regions: () => may('pcim_iomap_regions'), pcim_iomap_table: () => [regs],
    pci_num_vf: () => 4, pci_get_drvdata: () => drvdata, pci_set_drvdata: (_, data): undefined => void (drvdata = data),
    pci_sriov_configure_simple: async (_, n) => n,
    alloc_etherdev: (_, netOps) => {
      ops = netOps;
      log.push('alloc');
      return netdev;
    },
    free_netdev: (): undefined => void log.push('free'), register_netdev: async () => may('register_netdev'), unregister_netdev: async () => void log.push('unregister'),
    eth_hw_addr_set: (_, addr): undefined => void log.push([...addr].join(':')), netif_carrier_off: (): undefined => void log.push('carrier off'),
    kfree_skb: (): undefined => void log.push('kfree_skb'), dev_err: (_, text): undefined => void log.push(text),
  });
  const pdev = { dev: { name: '0000:07:00.0' } } as unknown as PciDev; // its device is all that is looked at
  return { running, log, drivers, driver: drivers[0] as PciDriver, pdev, written, netdev, ops: () => ops as unknown as NetDeviceOps };
}

describe('n3000_pf', () => {
  it('matches nothing by itself, and leaves with its driver', async () => {
    const { running, drivers } = await started();
    expect(drivers).toMatchObject([{ name: 'n3000_pf', id_table: [] }]);
    expect(n3000Pf.alias).toEqual([]);
    await running.exit();
    expect(drivers).toEqual([]);
  });

  it('gives a function an interface with its address and without a carrier', async () => {
    const { driver, pdev, log, netdev, ops } = await started();
    await driver.probe(pdev, {} as never); // no id is looked at
    expect(log).toEqual(['pcim_enable_device', 'pcim_iomap_regions', 'alloc', '0:1:2:3:4:5', 'carrier off', 'register_netdev']);
    expect([ops().ndo_start_xmit({} as never, netdev), netdev.stats.tx_dropped, log.pop()]).toEqual(['NETDEV_TX_OK', 1, 'kfree_skb']); // frames are lost
    await driver.remove?.(pdev);
    expect(log.slice(-2)).toEqual(['unregister', 'free']);
  });

  it.each(['pcim_enable_device', 'pcim_iomap_regions', 'register_netdev'] as const)('leaves nothing when %s fails', async (step) => {
    const { driver, pdev, log } = await started(step);
    await expect(driver.probe(pdev, {} as never)).rejects.toMatchObject({ errno: 'ENOMEM' });
    expect(log.filter((line) => line === 'alloc').length).toBe(log.filter((line) => line === 'free').length);
  });

  it('sets addresses of stations and VLANs on functions there are', async () => {
    const { driver, pdev, written, netdev, ops } = await started();
    await driver.probe(pdev, {} as never);
    const set = async (vf: number, ...mac: number[]): Promise<string> => {
      try {
        await ops().ndo_set_vf_mac?.(netdev, vf, Uint8Array.from(mac));
        return 'ok';
      } catch (error) {
        return error instanceof KernelError ? error.errno : 'bug';
      }
    };
    expect([await set(4, 2, 0, 0, 0, 0, 1), await set(0, 1, 0, 0, 0, 0, 1), await set(0, 0, 0, 0, 0, 0, 0)]).toEqual(['EINVAL', 'EINVAL', 'EINVAL']);
    expect(written).toEqual([]);
    expect(await set(3, 0x02, 0x11, 0x22, 0xf3, 0x44, 0x55)).toBe('ok');
    expect(written).toEqual([[0x1000, 3], [0x1004, 0xf322_1102], [0x1008, 0x5544]]);
    written.length = 0;
    const vlan = async (vf: number, id: number, qos: number): Promise<string> => errnoOf(() => ops().ndo_set_vf_vlan?.(netdev, vf, id, qos));
    expect([await vlan(4, 1, 0), await vlan(0, 4096, 0), await vlan(0, 1, 8), await vlan(2, 4095, 7), await vlan(2, 0, 0)]).toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'ok', 'ok']);
    expect(written).toEqual([[0x1000, 2], [0x100c, 0xefff], [0x1000, 2], [0x100c, 0]]);
    expect(ops().ndo_get_vf_config?.(netdev, 1)).toEqual({ mac: Uint8Array.of(1, 2, 3, 4, 5, 6), vlan: 100, qos: 7 });
  });
});

/** Kernels with what the programs of iproute2 can show and change. */
import { KernelError } from '@vdpalab/abi';
import type { BusType } from '@vdpalab/driver-core';
import type { NetDeviceOps, VfInfo } from '@vdpalab/netdev';
import { toyDevlink } from '@vdpalab/testing';
import { testShell, type TestShell } from './shell-kernel.ts';
import { registerExotic, SIMULATORS } from './simulators.ts';

/** Every feature bit a class may have but those that bring settings. */
const FEATURES = 0x8800_2103_ff41_0030n;
const CTRL_VQ = 1n << 17n;

/** The simulators of Linux 6.1, and management devices with all that those have not. */
export async function vdpaLab(): Promise<TestShell> {
  const shell = await testShell({}, SIMULATORS);
  const { kernel } = shell;
  await kernel.run(async () => {
    await registerExotic(kernel, 'exo', { id: 1, features: FEATURES | CTRL_VQ });
    await registerExotic(kernel, 'exonoctrl', { id: 1, features: FEATURES });
    await registerExotic(kernel, 'exonew', { id: 1, features: FEATURES, status: 3 });
    await registerExotic(kernel, 'exoblk', { id: 2, idTable: [2, 1, 30, 4], features: FEATURES });
    await registerExotic(kernel, 'exofs', { id: 26, features: (1n << 64n) - 1n });
    await registerExotic(kernel, 'pci/x', { id: 1, features: 0n });
    await registerExotic(kernel, 'm'.repeat(63), { id: 1, features: 0n });
  });
  for (const n of [63, 64, 65]) await shell.sh(`N${n}=${'n'.repeat(n)} M${n}=${'m'.repeat(n)}`);
  return shell;
}

/** The toy driver's two instances: one with everything, one with nothing; a port of the first is an interface's. */
export async function devlinkLab(): Promise<TestShell> {
  const shell = await testShell({}, ['driver-core', 'netlink', 'netdev', 'devlink']);
  const { kernel } = shell;
  await kernel.run(() => kernel.insmod(toyDevlink({ netdev: true }).module));
  return shell;
}

/** Three interfaces: an ordinary one, one whose address is fixed, one with four virtual functions of which the last says little. */
export async function linkLab(): Promise<TestShell> {
  const shell = await testShell({}, ['driver-core', 'netlink', 'netdev']);
  const { kernel } = shell;
  const { k } = kernel;
  const plain: NetDeviceOps = { ndo_open: async () => undefined, ndo_stop: async () => undefined, ndo_start_xmit: () => 'NETDEV_TX_BUSY' };
  const settable: NetDeviceOps = { ...plain, ndo_set_mac_address: async (dev, addr) => void k.eth_hw_addr_set(dev, addr) };
  const vfs = Array.from({ length: 4 }, (_, n): Partial<VfInfo> & { mac: Uint8Array } => (
    n === 3 ? { mac: new Uint8Array(6) } : { mac: Uint8Array.of(2, 0, 0, 0, 0, n), spoofchk: n === 0, trusted: n === 1, rss_query_en: false, linkstate: n }));
  const set = (vf: number, change: Partial<VfInfo>): void => {
    const of = vfs[vf];
    if (of === undefined) throw new KernelError('EINVAL', 'test.vf', `VF ${vf} of ${vfs.length}`);
    Object.assign(of, change);
  };
  const physical: NetDeviceOps = {
    ...settable,
    ndo_get_vf_config: (_, vf) => vfs[vf] as VfInfo, // as many as the bus says
    ndo_set_vf_mac: async (_, vf, mac) => set(vf, { mac }),
    ndo_set_vf_vlan: async (_, vf, vlan, qos) => set(vf, { vlan, qos }),
    ndo_set_vf_rate: async (_, vf, min_tx_rate, max_tx_rate) => set(vf, { min_tx_rate, max_tx_rate }),
    ndo_set_vf_spoofchk: async (_, vf, spoofchk) => set(vf, { spoofchk }),
    ndo_set_vf_link_state: async (_, vf, linkstate) => set(vf, { linkstate }),
    ndo_set_vf_trust: async (_, vf, trusted) => set(vf, { trusted }),
  };
  await kernel.run(async () => {
    const bus: BusType = { name: 'toy', num_vf: () => vfs.length };
    await k.bus_register(bus);
    for (const [n, ops] of [settable, plain, physical].entries()) {
      const parent = k.device_initialize({ name: `toy${n}`, ...(n === 1 ? {} : { bus }) });
      await k.device_add(parent);
      const dev = k.alloc_etherdev('eth%d', ops, parent, null);
      k.eth_hw_addr_set(dev, Uint8Array.of(0x52, 0x54, 0, 0, 0, n));
      await k.register_netdev(dev);
    }
    Object.assign(k.netdevs()[1]?.stats ?? {}, { rx_packets: 12_345_678, rx_bytes: 123_456_789_012, tx_packets: 1, tx_bytes: 60, tx_errors: 12_345_678, rx_length_errors: 123_456_789 });
  });
  return shell;
}

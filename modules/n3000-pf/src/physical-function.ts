/** One physical function: its interface, and the settings of its virtual functions. */
import { KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { NetDevice, NetdevSymbols, VfInfo } from '@vdpalab/netdev';
import type { IoMem, PciDev, PciSymbols } from '@vdpalab/pci';
import { ETH_ALEN } from '@vdpalab/uapi';

/** What a function takes of the kernel. */
export type PfSymbols =
  & Pick<PciSymbols, 'pci_num_vf'>
  & Pick<NetdevSymbols, 'alloc_etherdev' | 'free_netdev' | 'register_netdev' | 'unregister_netdev' | 'eth_hw_addr_set' | 'netif_carrier_off' | 'kfree_skb'>
  & Pick<DriverCoreSymbols, 'dev_err'>;

/** Registers in BAR 0: the function's own address, and the settings of virtual functions. */
const DEVICE_CONFIG = 0x800;
const [VF_SELECT, VF_MAC_LOW, VF_MAC_HIGH, VF_VLAN] = [0x1000, 0x1004, 0x1008, 0x100c] as const;
/** Bits of a VLAN tag: the VLAN's number below, the priority above. */
const [VID_MASK, PRIO_SHIFT] = [0x0fff, 13] as const;

/** The driver's side of a function. */
export class PhysicalFunction {
  readonly #k: PfSymbols;
  readonly #pdev: PciDev;
  readonly #regs: IoMem;
  readonly #netdev: NetDevice;

  constructor(k: PfSymbols, pdev: PciDev, regs: IoMem) {
    this.#k = k;
    this.#pdev = pdev;
    this.#regs = regs;
    this.#netdev = k.alloc_etherdev('eth%d', {
      ndo_open: async () => undefined,
      ndo_stop: async () => undefined,
      ndo_start_xmit: (skb, dev) => {
        dev.stats.tx_dropped++;
        k.kfree_skb(skb);
        return 'NETDEV_TX_OK';
      },
      ndo_set_vf_mac: async (_, vf, mac) => this.#setVfMac(vf, mac),
      ndo_set_vf_vlan: async (_, vf, vlan, qos) => this.#setVfVlan(vf, vlan, qos),
      ndo_get_vf_config: (_, vf) => this.#vfConfig(vf),
    }, pdev.dev, this);
    k.eth_hw_addr_set(this.#netdev, Uint8Array.from({ length: ETH_ALEN }, (_, i) => regs.read8(DEVICE_CONFIG + i)));
    k.netif_carrier_off(this.#netdev);
  }

  /** @throws what registering does; nothing is left then */
  async register(): Promise<void> {
    try {
      await this.#k.register_netdev(this.#netdev);
    } catch (error) {
      this.#k.dev_err(this.#pdev.dev, 'Failed to register a network device');
      this.#k.free_netdev(this.#netdev);
      throw error;
    }
  }

  async unregister(): Promise<void> {
    await this.#k.unregister_netdev(this.#netdev);
    this.#k.free_netdev(this.#netdev);
  }

  /** @throws EINVAL for a function there is not */
  #check(vf: number): undefined {
    const count = this.#k.pci_num_vf(this.#pdev);
    if (vf >= count) throw new KernelError('EINVAL', 'n3000_pf.vf.number', `${this.#netdev.name}: VF ${vf} of ${count}`);
  }

  /** @throws EINVAL for a function there is not, and for an address that is none of one station */
  #setVfMac(vf: number, mac: Uint8Array): undefined {
    this.#check(vf);
    if ((mac[0]! & 1) !== 0 || mac.every((byte) => byte === 0)) {
      throw new KernelError('EINVAL', 'n3000_pf.vf.mac', `${this.#netdev.name}: VF ${vf}: ${[...mac].join(':')} (decimal) is no unicast address`);
    }
    this.#regs.write32(VF_SELECT, vf);
    this.#regs.write32(VF_MAC_LOW, (mac[0]! | (mac[1]! << 8) | (mac[2]! << 16) | (mac[3]! << 24)) >>> 0);
    this.#regs.write32(VF_MAC_HIGH, mac[4]! | (mac[5]! << 8));
  }

  /** @param vlan 0 and no priority: none. @throws EINVAL for a function there is not, and for numbers that a tag has no room for */
  #setVfVlan(vf: number, vlan: number, qos: number): undefined {
    this.#check(vf);
    if (vlan > VID_MASK || qos > 7) {
      throw new KernelError('EINVAL', 'n3000_pf.vf.vlan', `${this.#netdev.name}: VF ${vf}: VLAN ${vlan} of ${VID_MASK}, priority ${qos} of 7`);
    }
    this.#regs.write32(VF_SELECT, vf);
    this.#regs.write32(VF_VLAN, vlan | (qos << PRIO_SHIFT));
  }

  #vfConfig(vf: number): VfInfo {
    this.#regs.write32(VF_SELECT, vf);
    const [low, high, tci] = [this.#regs.read32(VF_MAC_LOW), this.#regs.read32(VF_MAC_HIGH), this.#regs.read32(VF_VLAN)];
    return { mac: Uint8Array.of(low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8), vlan: tci & VID_MASK, qos: tci >>> PRIO_SHIFT };
  }
}

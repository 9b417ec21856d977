/** The device's address: in its configuration, in the L2 table, in rules. Mirrors `handle_ctrl_mac` in `net/mlx5_vnet.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { Mlx5CoreDev } from '@vdpalab/mlx5-core';
import { ETH_ALEN, virtio_net_config } from '@vdpalab/uapi';
import type { VnetKernel } from './kernel.ts';
import type { ReceiveSide } from './receive.ts';

const AT = virtio_net_config.offsets.mac;
const isZero = (mac: Uint8Array): boolean => mac.every((byte) => byte === 0);

/** Keeps the three together. */
export class Mac {
  readonly #k: VnetKernel;
  readonly #mdev: Mlx5CoreDev;
  readonly #config: Uint8Array;

  /** @param config of the device, which has the address */
  constructor(k: VnetKernel, mdev: Mlx5CoreDev, config: Uint8Array) {
    this.#k = k;
    this.#mdev = mdev;
    this.#config = config;
  }

  /** Six bytes. */
  get address(): Uint8Array {
    return this.#config.slice(AT, AT + ETH_ALEN);
  }

  get zero(): boolean {
    return isZero(this.address);
  }

  /** Into the L2 table; a zero address is in none. @throws EEXIST ENOSPC */
  async enter(): Promise<void> {
    if (!this.zero) await this.#k.mlx5_mpfs_add_mac(this.#pf, this.address);
  }

  /** Out of it. */
  async leave(): Promise<void> {
    if (!this.zero) await this.#k.mlx5_mpfs_del_mac(this.#pf, this.address);
  }

  /** Answer to another address. What fails leaves the old one. @returns whether it was done */
  async change(mac: Uint8Array, receive: ReceiveSide, vlans: boolean): Promise<boolean> {
    const old = this.address;
    if (old.every((byte, i) => byte === mac[i])) return true;
    if (isZero(mac)) return false;
    if (!await this.#try('failed to delete old MAC from MPFS table', () => this.leave())) return false;
    this.#config.set(mac, AT);
    if (!await this.#try('failed to insert new MAC into MPFS table', () => this.enter())) {
      this.#config.set(old, AT);
      await this.#try('restore mac failed', () => this.enter());
      return false;
    }
    await receive.delete(old, null);
    if (await this.#try('failed to insert forward rules, try to restore', () => receive.add(mac, null, vlans))) return true;
    await this.#try('failed to delete new MAC from MPFS table', () => this.leave());
    this.#config.set(old, AT);
    await this.#try('failed to insert old MAC into MPFS table', () => this.enter());
    await this.#try('restore forward rules failed: insert forward rules failed', () => receive.add(old, null, vlans));
    return false;
  }

  /** The function that has the L2 table. */
  get #pf(): Mlx5CoreDev {
    return this.#k.pci_get_drvdata(this.#mdev.pdev) as Mlx5CoreDev; // its driver is mlx5_core
  }

  async #try(failure: string, body: () => Promise<void>): Promise<boolean> {
    try {
      await body();
      return true;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#k.dev_warn(this.#mdev.device, failure);
      return false;
    }
  }
}

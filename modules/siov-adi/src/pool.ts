/** The interfaces of a function, and who has each. */
import { KernelError } from '@vdpalab/abi';
import type { AttributeGroup, Device } from '@vdpalab/driver-core';
import type { VdevSite } from './ops.ts';
import type { AdiRegisters } from './registers.ts';

/** The most interfaces a function has a file for. */
const ADIS_MAX = 32;

interface Adi {
  readonly registers: AdiRegisters;
  /** The mediated device that it is a part of. */
  user: string | null;
  /** Whether it may become a part of one. */
  on: boolean;
}

/** The interfaces of one function. */
export class AdiPool {
  readonly #name: string;
  readonly #adis: readonly Adi[];

  /** @param name of the function, for messages */
  constructor(name: string, interfaces: readonly AdiRegisters[]) {
    this.#name = name;
    this.#adis = interfaces.map((registers) => ({ registers, user: null, on: true }));
  }

  get size(): number {
    return this.#adis.length;
  }

  /** How many devices of so many interfaces could be made. */
  room(count: number): number {
    return Math.floor(this.#free().length / count);
  }

  /** Take the lowest that are free. @throws ENOSPC */
  take(count: number, user: string): VdevSite['interfaces'] {
    const [first, ...others] = this.#free().slice(0, count);
    if (first === undefined || 1 + others.length < count) {
      throw new KernelError('ENOSPC', 'siov_adi.probe.interfaces', `${this.#name}: ${count} interfaces asked for, ${this.#free().length} are free`);
    }
    for (const adi of [first, ...others]) adi.user = user;
    return [first.registers, ...others.map(({ registers }) => registers)];
  }

  /** All that a device has are free again. */
  giveBack(user: string): void {
    for (const adi of this.#adis) if (adi.user === user) adi.user = null;
  }

  /** Whose an interface is: a device's UUID, `free` or `off`. */
  holder(index: number): string {
    const { user, on } = this.#adis[index]!; // shown for those there are
    return user ?? (on ? 'free' : 'off');
  }

  /** Put an interface in service or out of it. @throws EBUSY while it is a part of a device */
  serve(index: number, on: boolean): void {
    const adi = this.#adis[index]!; // shown for those there are
    if (!on && adi.user !== null) throw new KernelError('EBUSY', 'siov_adi.adi.busy', `${this.#name}: interface ${index} is a part of ${adi.user}`);
    adi.on = on;
  }

  #free(): Adi[] {
    return this.#adis.filter(({ user, on }) => on && user === null);
  }
}

/** Directory `adis` of a function: a file for each interface, which takes 0 and 1. @param poolOf of a bound function */
export function adiFiles(poolOf: (dev: Device) => AdiPool): AttributeGroup<Device> {
  return {
    name: 'adis',
    attrs: Array.from({ length: ADIS_MAX }, (_, index) => ({
      name: `${index}`, mode: 0o644,
      is_visible: (dev: Device) => index < poolOf(dev).size,
      show: async (dev: Device) => `${poolOf(dev).holder(index)}\n`,
      async store(dev: Device, text: string) {
        if (!/^[01]\n?$/.test(text)) throw new KernelError('EINVAL', 'siov_adi.adi.text', `${dev.name}: interface ${index}: ${JSON.stringify(text)} is not 0 or 1`);
        poolOf(dev).serve(index, text.startsWith('1'));
      },
    })),
  };
}

/** The BARs of a plain virtio function: legacy ports, the MSI-X table, the modern structures. */
import type { MsixVectors } from '../pci/msix.ts';
import type { CommonConfig } from './common-config.ts';
import { LegacyRegisters } from './legacy-registers.ts';
import {
  BAR_LEGACY, BAR_MODERN, BAR_MSIX, BAR_PORT_NOTIFY, PLAIN_DEVICE, PLAIN_ISR, PLAIN_NOTIFY, PLAIN_PBA, doorbellStride,
} from './plain-layout.ts';
import type { PlainShape } from './plain-layout.ts';

type Size = 1 | 2 | 4;

/** A device's own configuration. */
export interface DeviceRegisters {
  /** Bytes beyond the structure read as 0. */
  readonly read: (offset: number, size: Size) => number;
  readonly write: (offset: number, size: Size, value: number) => undefined;
}

/** What the registers are of. */
export interface RegisterFace {
  readonly common: CommonConfig;
  readonly msix: MsixVectors | null;
  readonly config: DeviceRegisters;
  readonly takeIsr: () => number;
  /** @param queue which one the driver wrote; @param doorbell whose doorbell it wrote to, where each has its own */
  readonly kick: (queue: number, doorbell?: number) => undefined;
}

/** All of them. */
export class PlainRegisters {
  private readonly face: RegisterFace;
  private readonly legacy: LegacyRegisters;
  private readonly stride: number;

  constructor(shape: PlainShape, face: RegisterFace) {
    this.face = face;
    this.legacy = new LegacyRegisters(face);
    this.stride = doorbellStride(shape);
  }

  read(bar: number, offset: number, size: Size): number {
    const { common, config, msix } = this.face;
    if (bar === BAR_LEGACY) return this.legacy.read(offset, size);
    if (bar === BAR_MSIX) return (offset < PLAIN_PBA ? msix?.readTable(offset, size) : msix?.readPending(offset - PLAIN_PBA, size)) ?? 0;
    if (bar !== BAR_MODERN) return 0;
    if (offset < PLAIN_ISR) return common.read(offset, size);
    if (offset < PLAIN_DEVICE) return offset === PLAIN_ISR ? this.face.takeIsr() : 0;
    return offset < PLAIN_NOTIFY ? config.read(offset - PLAIN_DEVICE, size) : 0;
  }

  write(bar: number, offset: number, size: Size, value: number): undefined {
    const { common, config, msix } = this.face;
    if (bar === BAR_LEGACY) this.legacy.write(offset, size, value);
    else if (bar === BAR_MSIX && offset < PLAIN_PBA) msix?.writeTable(offset, size, value);
    else if (bar === BAR_PORT_NOTIFY) this.face.kick(value & 0xffff);
    else if (bar !== BAR_MODERN) return;
    else if (offset < PLAIN_ISR) common.write(offset, size, value);
    else if (offset >= PLAIN_NOTIFY) this.face.kick(value & 0xffff, Math.floor((offset - PLAIN_NOTIFY) / this.stride));
    else if (offset >= PLAIN_DEVICE) config.write(offset - PLAIN_DEVICE, size, value);
  }
}

/** What a fake vDPA parent is told to be. */
import type { ErrnoName } from '@vdpalab/abi';

/** How the parent learns of mappings: whole tables, one by one, or not at all (the platform IOMMU translates). */
export type FakeMapping = 'set_map' | 'dma_map' | 'platform';

/** A parent made of software. Absent settings give the network simulator of Linux 6.1 as user space sees it. */
export interface FakeParentOptions {
  /** virtio id; 1, network, when absent. */
  readonly device_id?: number;
  readonly nvqs?: number;
  readonly ngroups?: number;
  readonly nas?: number;
  readonly features?: bigint;
  /** Largest and smallest queue, in descriptors. */
  readonly num_max?: number;
  readonly num_min?: number;
  /** Device configuration; 24 bytes with MAC, status and MTU when absent. */
  readonly config?: Uint8Array;
  readonly mapping?: FakeMapping;
  readonly use_va?: boolean;
  readonly models?: readonly string[];
  /** Optional ops the table has beyond those of the simulator: `resume`, `reset_map`, `get_vq_irq`, ... */
  readonly having?: readonly string[];
  /** Optional ops of the simulator that the table lacks. */
  readonly lacking?: readonly string[];
  /** Every op that may sleep does: it lets whatever is ready run first. */
  readonly parks?: boolean;
  /** Which call of an op that may fail does, counted from 1 over all of them, and with what. */
  readonly fails?: { readonly at: number; readonly errno: ErrnoName };
  /** Ops that never fail, whatever `fails` says. */
  readonly infallible?: readonly string[];
  /** Name of a bus to put the DMA and management device on; on none when absent. */
  readonly bus?: string;
  /** Attributes `vdpa dev add` may name, one bit each; none when absent. */
  readonly config_attr_mask?: bigint;
  /** virtio ids of the management device; the device's own when absent. */
  readonly id_table?: readonly number[];
}

/** Options with every default filled in. */
export type FakeParentSetup = Required<Omit<FakeParentOptions, 'fails' | 'models' | 'bus'>> & Pick<FakeParentOptions, 'fails' | 'models' | 'bus'>;

/** MTU, MAC, CTRL_VQ, CTRL_MAC_ADDR, ANY_LAYOUT, VERSION_1, ACCESS_PLATFORM. */
export const FAKE_NET_FEATURES = 0x3_0882_0028n;

function netConfig(): Uint8Array {
  const config = new Uint8Array(24);
  config.set([0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 1, 0, 0, 0, 0xdc, 0x05]); // MAC, link up, no queue pairs, MTU 1500
  return config;
}

/** Fill in the defaults. */
export function fakeSetup(options: FakeParentOptions): FakeParentSetup {
  return {
    device_id: 1, nvqs: 3, ngroups: 2, nas: 2, features: FAKE_NET_FEATURES, num_max: 256, num_min: 1, config: netConfig(),
    mapping: 'set_map', use_va: false, having: [], lacking: [], parks: false, infallible: [], config_attr_mask: 0n,
    id_table: [options.device_id ?? 1],
    ...options,
  };
}

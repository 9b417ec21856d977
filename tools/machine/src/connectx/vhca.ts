/** One function of the device, physical or sub: its window, its commands, its objects. */
import {
  MLX5_EQ_DOORBEL_NO_ARM_OFFSET, MLX5_EQ_DOORBEL_OFFSET, MLX5_EVENT_TYPE_CMD, MLX5_EVENT_TYPE_PORT_CHANGE, MLX5_PORT_CHANGE_SUBTYPE_ACTIVE,
  MLX5_PORT_CHANGE_SUBTYPE_DOWN, mlx5_eqe_cmd, mlx5_eqe_port_state, mlx5_init_seg, swab32,
} from '@vdpalab/uapi';
import type { Chip } from './chip.ts';
import { CommandQueue } from './command-queue.ts';
import { execute } from './commands/index.ts';
import type { EventQueue } from './event-queue.ts';
import { FrameSide } from './frame-side.ts';
import { FIRST_UAR, LAST_UAR, VIRTIO_DOORBELL_OFFSET } from './layout.ts';
import { Resources } from './resources.ts';
import type { Subfunctions } from './subfunctions.ts';

const PAGE_SIZE = 4096;
/** Firmware 22.35.1012, command interface revision 5. */
const FW_REV = (35 << 16) | 22;
const CMDIF_REV_FW_SUB = (5 << 16) | 1012;
/** Bytes around an MTU: Ethernet header, VLAN tag, checksum. */
export const HARD_MTU = 22;
const DEFAULT_MTU = 1500;
const TICK_NS = 1_000_000;
const TWO_32 = 0x1_0000_0000;

/** How far a function is. */
export type VhcaStage = 'disabled' | 'enabled' | 'initialised';

/** One function. */
export class Vhca {
  readonly functionId: number;
  readonly vhcaId: number;
  readonly name: string;
  readonly chip: Chip;
  readonly resources: Resources;
  readonly commands: CommandQueue;
  readonly frames: FrameSide;
  /** Subfunctions, which the physical function manages. */
  readonly subfunctions: Subfunctions | null;
  stage: VhcaStage = 'disabled';
  issi = 0;
  /** Six bytes. */
  mac: Uint8Array;
  /** With all headers, bytes. */
  mtu = DEFAULT_MTU + HARD_MTU;
  /** What the manager or the function itself asked the link to be. */
  adminDown = false;
  /** Told of steps of a subfunction's life. */
  onStage: (stage: VhcaStage) => undefined = () => undefined;

  /** @param functionId of the physical function 0 */
  constructor(chip: Chip, functionId: number, vhcaId: number, mac: Uint8Array, subfunctions: Subfunctions | null) {
    this.chip = chip;
    this.functionId = functionId;
    this.vhcaId = vhcaId;
    this.mac = mac;
    this.subfunctions = subfunctions;
    this.name = functionId === 0 ? chip.name : `${chip.name} sf ${vhcaId - 1}`;
    this.resources = new Resources(2 * chip.config.queue_pairs);
    this.frames = new FrameSide(this);
    this.commands = new CommandQueue({
      name: this.name, hw: chip.hw, dma: chip.dma,
      run: (input, output) => execute(this, input, output),
      begin: (n) => {
        const eq = this.listener(MLX5_EVENT_TYPE_CMD); // a queue hears nothing of the command that makes it, nor of the one that destroys it
        return () => {
          if (eq !== null && this.resources.eqs.peek(eq.number) === eq) eq.post(MLX5_EVENT_TYPE_CMD, 0, mlx5_eqe_cmd.make({ vector: (1 << n) >>> 0 }));
        };
      },
    });
  }

  /** Whether frames may pass. */
  get linkUp(): boolean {
    return !this.adminDown && this.chip.link();
  }

  /** Raise an event on the first queue that takes it. */
  post(type: number, subType: number, data: Uint8Array): undefined {
    this.listener(type)?.post(type, subType, data);
  }

  /** The link came or went. */
  linkChanged(): undefined {
    this.post(MLX5_EVENT_TYPE_PORT_CHANGE, this.linkUp ? MLX5_PORT_CHANGE_SUBTYPE_ACTIVE : MLX5_PORT_CHANGE_SUBTYPE_DOWN, mlx5_eqe_port_state.make({ port: 1 }));
  }

  /** Change how far the function is; what it made goes when it is no longer initialised. */
  setStage(stage: VhcaStage): undefined {
    if (stage !== 'initialised') {
      this.frames.stop();
      this.resources.clear();
      this.chip.keys.destroyAll(this.vhcaId);
    }
    this.stage = stage;
    this.onStage(stage);
  }

  /** As at power-on. */
  reset(): undefined {
    this.setStage('disabled');
    this.commands.reset();
    this.issi = 0;
    this.mtu = DEFAULT_MTU + HARD_MTU;
    this.adminDown = false;
  }

  /** A read of its window. */
  read(offset: number, size: 1 | 2 | 4): number {
    if (size !== 4) return 0;
    return swab32(this.register(offset));
  }

  /** A write to its window. */
  write(offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (offset >= VIRTIO_DOORBELL_OFFSET) {
      if (size >= 2) this.frames.kick(value & 0xffff);
      return;
    }
    if (size !== 4) return;
    const word = swab32(value);
    if (offset >= FIRST_UAR * PAGE_SIZE) this.ringUar(Math.floor(offset / PAGE_SIZE), offset % PAGE_SIZE, word);
    else if (offset === mlx5_init_seg.offsetof('cmdq_addr_h')) this.commands.addressHigh = word;
    else if (offset === mlx5_init_seg.offsetof('cmdq_addr_l_sz')) this.commands.addressLow = word;
    else if (offset === mlx5_init_seg.offsetof('cmd_dbell')) this.commands.ring(word);
  }

  private register(offset: number): number {
    const { now } = this.chip.hw.sched;
    switch (offset) {
      case mlx5_init_seg.offsetof('fw_rev'): return FW_REV;
      case mlx5_init_seg.offsetof('cmdif_rev_fw_sub'): return CMDIF_REV_FW_SUB;
      case mlx5_init_seg.offsetof('cmdq_addr_h'): return this.commands.addressHigh;
      case mlx5_init_seg.offsetof('cmdq_addr_l_sz'): return this.commands.addressAndSize;
      case mlx5_init_seg.offsetof('internal_timer_h'): return Math.floor(now / TWO_32);
      case mlx5_init_seg.offsetof('internal_timer_l'): return now >>> 0;
      case mlx5_init_seg.offsetof('health_counter'): return Math.floor(now / TICK_NS) % TWO_32;
      default: return 0;
    }
  }

  private listener(type: number): EventQueue | null {
    for (const eq of this.resources.eqs.values()) if (eq.takes(type)) return eq;
    return null;
  }

  /** An event queue's doorbell, in a page the function has. */
  private ringUar(page: number, offset: number, word: number): undefined {
    if (page > LAST_UAR || !this.resources.uars.has(page)) return;
    if (offset !== MLX5_EQ_DOORBEL_OFFSET && offset !== MLX5_EQ_DOORBEL_NO_ARM_OFFSET) return;
    this.resources.eqs.peek(word >>> 24)?.consumed(word, offset === MLX5_EQ_DOORBEL_OFFSET);
  }
}

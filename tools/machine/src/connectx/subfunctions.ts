/** Subfunctions and their states, as the physical function manages them. */
import {
  MLX5_EVENT_TYPE_VHCA_STATE_CHANGE, MLX5_VHCA_STATE_ACTIVE, MLX5_VHCA_STATE_ALLOCATED, MLX5_VHCA_STATE_IN_USE, MLX5_VHCA_STATE_INVALID,
  MLX5_VHCA_STATE_TEARDOWN_REQUEST, mlx5_eqe_vhca_state,
} from '@vdpalab/uapi';
import { macPlus } from '../virtio/net-settings.ts';
import type { Chip } from './chip.ts';
import { SF_BASE_ID } from './layout.ts';
import { Refusal } from './refusal.ts';
import { Vhca } from './vhca.ts';
import type { VhcaStage } from './vhca.ts';

/** One place for a subfunction. */
export interface SubfunctionSlot {
  readonly functionId: number;
  readonly vhca: Vhca;
  /** MLX5_VHCA_STATE_* */
  state: number;
  /** The driver's own number for it. */
  swFunctionId: number;
  /** Whether the next change of state is an event. */
  armed: boolean;
}

/** States in which a window answers. */
const ANSWERING: readonly number[] = [MLX5_VHCA_STATE_ACTIVE, MLX5_VHCA_STATE_IN_USE, MLX5_VHCA_STATE_TEARDOWN_REQUEST];

/** All of them. */
export class Subfunctions {
  readonly slots: readonly SubfunctionSlot[];
  private readonly mac: Uint8Array;
  private readonly post: (type: number, subType: number, data: Uint8Array) => undefined;

  /** @param mac the physical function's; @param post raises an event of the physical function */
  constructor(chip: Chip, mac: Uint8Array, post: (type: number, subType: number, data: Uint8Array) => undefined) {
    this.mac = mac;
    this.post = post;
    this.slots = Array.from({ length: chip.config.subfunctions }, (_, n) => {
      const vhca = new Vhca(chip, SF_BASE_ID + n, n + 1, macPlus(mac, n + 1), null);
      const slot: SubfunctionSlot = { functionId: SF_BASE_ID + n, vhca, state: MLX5_VHCA_STATE_INVALID, swFunctionId: 0, armed: false };
      vhca.onStage = (stage) => this.stepped(slot, stage);
      return slot;
    });
  }

  /** @throws Refusal BAD_PARAM when there can be none of that id */
  slot(functionId: number): SubfunctionSlot {
    const slot = this.slots[functionId - SF_BASE_ID];
    if (slot === undefined) throw new Refusal('sf.function-id');
    return slot;
  }

  /** The function behind a window, while it answers. */
  answering(index: number): Vhca | null {
    const slot = this.slots[index];
    return slot !== undefined && ANSWERING.includes(slot.state) ? slot.vhca : null;
  }

  /** @throws Refusal BAD_RES_STATE when it exists */
  alloc(functionId: number): undefined {
    const slot = this.slot(functionId);
    this.require(slot, MLX5_VHCA_STATE_INVALID);
    slot.vhca.mac = macPlus(this.mac, slot.vhca.vhcaId);
    slot.swFunctionId = 0;
    this.change(slot, MLX5_VHCA_STATE_ALLOCATED);
  }

  /** @throws Refusal BAD_RES_STATE unless it is ALLOCATED */
  dealloc(functionId: number): undefined {
    const slot = this.slot(functionId);
    this.require(slot, MLX5_VHCA_STATE_ALLOCATED);
    this.change(slot, MLX5_VHCA_STATE_INVALID);
  }

  /** @throws Refusal BAD_RES_STATE unless it is ALLOCATED */
  enable(functionId: number): undefined {
    const slot = this.slot(functionId);
    this.require(slot, MLX5_VHCA_STATE_ALLOCATED);
    this.change(slot, MLX5_VHCA_STATE_ACTIVE);
  }

  /** One that is in use is asked to stop first. @throws Refusal BAD_RES_STATE unless it is ACTIVE or IN_USE */
  disable(functionId: number): undefined {
    const slot = this.slot(functionId);
    if (slot.state === MLX5_VHCA_STATE_IN_USE) {
      this.change(slot, MLX5_VHCA_STATE_TEARDOWN_REQUEST);
      return;
    }
    this.require(slot, MLX5_VHCA_STATE_ACTIVE);
    this.change(slot, MLX5_VHCA_STATE_ALLOCATED);
    slot.vhca.reset();
  }

  /** The physical function is reset: none is left, and nobody hears of it. */
  reset(): undefined {
    for (const slot of this.slots) {
      slot.armed = false;
      slot.state = MLX5_VHCA_STATE_INVALID;
      slot.vhca.reset();
    }
  }

  private require({ state }: SubfunctionSlot, wanted: number): undefined {
    if (state !== wanted) throw new Refusal('sf.state');
  }

  /** A step that the subfunction made itself. */
  private stepped(slot: SubfunctionSlot, stage: VhcaStage): undefined {
    if (stage === 'initialised') this.change(slot, MLX5_VHCA_STATE_IN_USE);
    else if (slot.state === MLX5_VHCA_STATE_IN_USE) this.change(slot, MLX5_VHCA_STATE_ACTIVE);
    else if (slot.state === MLX5_VHCA_STATE_TEARDOWN_REQUEST && stage === 'disabled') this.change(slot, MLX5_VHCA_STATE_ALLOCATED);
  }

  private change(slot: SubfunctionSlot, state: number): undefined {
    slot.state = state;
    if (!slot.armed) return;
    slot.armed = false;
    this.post(MLX5_EVENT_TYPE_VHCA_STATE_CHANGE, 0, mlx5_eqe_vhca_state.make({ function_id: slot.functionId }));
  }
}

/** Flow tables of a function: a frame's destination address and VLAN choose its receive resource. */
import { ETH_P_8021Q } from '@vdpalab/uapi';
import { ObjectTable } from './objects.ts';
import { Refusal } from './refusal.ts';

/** log2 of a table's entries, and of the tables, at most. */
export const LOG_MAX_FT_SIZE = 16;
export const LOG_MAX_FT_NUM = 6;

/** Bits of a frame that count, or what they are. */
export interface FlowMatch {
  /** Bytes of the destination address. */
  readonly dmac: Uint8Array;
  /** Whether there is a VLAN tag. */
  readonly cvlanTag: number;
  readonly vid: number;
}

/** Entries of these indices look at these bits. */
export interface FlowGroup {
  readonly first: number;
  readonly last: number;
  readonly criteria: FlowMatch;
}

/** What a counter counts. */
export interface FlowCounter {
  packets: bigint;
  octets: bigint;
}

/** An entry. */
export interface FlowRule {
  readonly index: number;
  readonly group: FlowGroup;
  readonly value: FlowMatch;
  /** Receive resource; `null` drops. */
  readonly tir: number | null;
  readonly counter: FlowCounter | null;
}

/** A table. */
export class FlowTable {
  /** MLX5_FLOW_TABLE_TYPE_* */
  readonly type: number;
  /** log2 of the entries. */
  readonly logSize: number;
  readonly groups: ObjectTable<FlowGroup>;
  /** In the order of their indices, in which frames meet them. */
  rules: readonly FlowRule[] = [];

  constructor(type: number, logSize: number) {
    this.type = type;
    this.logSize = logSize;
    this.groups = new ObjectTable<FlowGroup>(0, (1 << logSize) - 1);
  }

  /** Put an entry in place of what has its index. @throws Refusal IX_ERR when its group does not have that index */
  set(rule: FlowRule): undefined {
    if (rule.index < rule.group.first || rule.index > rule.group.last) throw new Refusal('flow.index');
    this.rules = [...this.rules.filter(({ index }) => index !== rule.index), rule].sort((a, b) => a.index - b.index);
  }

  /** @throws Refusal BAD_RES when there is none */
  delete(index: number): undefined {
    if (!this.rules.some((rule) => rule.index === index)) throw new Refusal('object.unknown');
    this.rules = this.rules.filter((rule) => rule.index !== index);
  }

  /** The first entry that a frame matches. @param at where the frame begins */
  match(u8: Uint8Array, at: number): FlowRule | null {
    const tagged = ((u8[at + 12]! << 8) | u8[at + 13]!) === ETH_P_8021Q ? 1 : 0;
    const vid = tagged === 0 ? 0 : ((u8[at + 14]! & 0x0f) << 8) | u8[at + 15]!;
    return this.rules.find(({ group: { criteria }, value }) => {
      if (((tagged ^ value.cvlanTag) & criteria.cvlanTag) !== 0 || ((vid ^ value.vid) & criteria.vid) !== 0) return false;
      for (let i = 0; i < 6; i++) if (((u8[at + i]! ^ value.dmac[i]!) & criteria.dmac[i]!) !== 0) return false;
      return true;
    }) ?? null;
  }
}

/** What the host says of a thread, from /proc/TID/status. */
import { readFileSync } from 'node:fs';

/** A thread, as it is now. */
export interface ThreadStatus {
  /** Its process. */
  readonly tgid: number;
  readonly comm: string;
  readonly uid: number;
  readonly gid: number;
  readonly caps: readonly number[];
  /** Signals, as a mask, that end a sleep of it. */
  readonly interrupts: bigint;
}

/** @returns `null` when there is no such thread, or it is not shown to us */
export function statusOf(tid: number): ThreadStatus | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${tid}/status`, 'latin1');
  } catch {
    return null;
  }
  const field = (name: string): string => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(text)?.[1] ?? '';
  const mask = (name: string): bigint => BigInt(`0x${field(name) || '0'}`);
  const effective = (name: string): number => Number(field(name).split('\t')[1]);
  const caps = mask('CapEff');
  return {
    tgid: Number(field('Tgid')),
    comm: Buffer.from(field('Name'), 'latin1').toString(),
    uid: effective('Uid'),
    gid: effective('Gid'),
    caps: Array.from({ length: 64 }, (_, cap) => cap).filter((cap) => (caps >> BigInt(cap)) & 1n),
    interrupts: (mask('SigPnd') | mask('ShdPnd')) & ~mask('SigBlk') & ~mask('SigIgn'),
  };
}

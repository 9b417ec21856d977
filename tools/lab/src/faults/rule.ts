/**
 * What is to fail: `MODULE:WHAT[:N][=ERRNO]`, with Linux's `probability`, `interval` and `times` behind commas.
 *
 * Mirrors in spirit `lib/fault-inject.c` and `Documentation/fault-injection` (Linux 6.1); the names of the attributes
 * are its own.
 */
import type { ErrnoName } from '@vdpalab/abi';
import { ERRNO } from '@vdpalab/uapi';

/** One rule of injection. */
export interface FaultRule {
  /** As written. */
  readonly text: string;
  /** Linux name of the module that asks; `*` in it matches anything. */
  readonly module: string;
  /** Name of the operation during which it asks; `null`: whenever. */
  readonly during: string | null;
  /** A symbol (`*` matches anything), a kind of acquisition, an operation; with `()`, the call of an operation itself. */
  readonly what: string;
  /** The first one that fails, 1-based. */
  readonly nth: number;
  /** After that, every so many; 0: none but the nth. */
  readonly interval: number;
  /** How many fail at most; -1: no limit. */
  readonly times: number;
  /** Percent. */
  readonly probability: number;
  /** `null`: what a real failure of the kind has. */
  readonly errno: ErrnoName | null;
}

/** A rule that cannot be read. */
export class FaultRuleError extends Error {
  constructor(text: string, why: string) {
    super(`'${text}': ${why}; a rule is MODULE:WHAT[:N][=ERRNO][,interval=N][,times=N][,probability=PERCENT]`);
    this.name = 'FaultRuleError';
  }
}

const SHAPE = /^([\w*-]+):(?:([\w*]+)\/)?([\w*]+(?:\(\))?)(?::(\d+))?(?:=([A-Z0-9]+))?((?:,\w+=-?\d+)*)$/;

/**
 * Read a rule.
 *
 * @throws FaultRuleError that says what is wrong with it
 */
export function parseFaultRule(text: string): FaultRule {
  const match = SHAPE.exec(text);
  if (match === null) throw new FaultRuleError(text, 'not a rule');
  const [, module = '', during, what = '', nth, errno, rest = ''] = match;
  if (errno !== undefined && !(errno in ERRNO)) throw new FaultRuleError(text, `${errno} is no errno`);
  if (nth === '0') throw new FaultRuleError(text, 'N counts from 1');
  const options: Record<string, number> = {};
  for (const option of rest.split(',').filter((o) => o !== '')) {
    const [key = '', value = ''] = option.split('=');
    const [min, max] = LIMITS[key] ?? [0, -1];
    if (max < min) throw new FaultRuleError(text, `${key} is none of ${Object.keys(LIMITS).join(', ')}`);
    if (Number(value) < min || Number(value) > max) throw new FaultRuleError(text, `${key} is from ${min} to ${max}`);
    options[key] = Number(value);
  }
  const { interval = 0, probability = 100 } = options;
  const isRepeated = interval > 0 || probability < 100;
  return {
    text, module: module.replaceAll('-', '_'), during: during ?? null, what, nth: nth === undefined ? 1 : Number(nth),
    interval: interval === 0 && probability < 100 ? 1 : interval, probability, times: options['times'] ?? (isRepeated ? -1 : 1),
    errno: (errno as ErrnoName | undefined) ?? null, // just looked up
  };
}

/** Options and their ranges. */
const LIMITS: Readonly<Record<string, readonly [number, number]>> = {
  interval: [1, 1e9], times: [-1, 1e9], probability: [0, 100],
};

/** Whether a name is what a pattern with `*` says. */
export function matches(pattern: string, name: string): boolean {
  if (!pattern.includes('*')) return pattern === name;
  return new RegExp(`^${pattern.split('*').join('.*')}$`).test(name);
}

/** One refusal, explained: the rule, the values compared, the inner reasons, what would have worked. */
import { isKernelError, type KernelError } from '@vdpalab/abi';
import { exactRemedy } from './remedies/index.ts';
import { findRule } from './table.ts';
import type { LabView } from './view.ts';

/** A refusal in words. */
export interface Explanation {
  readonly errno: string;
  readonly rule: string;
  /** What the rule says. */
  readonly says: string;
  /** The values compared. */
  readonly compared: string;
  readonly remedy: string;
  readonly linux: string;
  /** The refusal behind it, where Linux folds errors. */
  readonly inner: Explanation | null;
}

/** Explain a refusal. @param view the lab, for a remedy of its own; `null` for the table's */
export async function explainError(error: KernelError, view: LabView | null): Promise<Explanation> {
  const rule = findRule(error.rule);
  const exact = view === null ? null : await exactRemedy(error, view);
  return {
    errno: error.errno, rule: error.rule, compared: error.message,
    says: rule?.says ?? 'The rule has no entry yet.',
    remedy: exact ?? rule?.remedy ?? '',
    linux: rule?.linux ?? '-',
    inner: isKernelError(error.cause) ? await explainError(error.cause, view) : null,
  };
}

/** The innermost reason: what is to be mended. */
export function innermost(explanation: Explanation): Explanation {
  return explanation.inner === null ? explanation : innermost(explanation.inner);
}

/** An explanation as lines. @param what what was refused: a call, a command */
export function explanationLines(what: string, explanation: Explanation): string[] {
  const line = (name: string, text: string): string[] => (text === '' ? [] : [`  ${name.padEnd(10)}${text.replaceAll('\n', '\\n')}`]);
  const out = [`${what}: ${explanation.errno}`];
  for (let at: Explanation | null = explanation; at !== null; at = at.inner) {
    if (at !== explanation) out.push(...line('because', at.errno));
    out.push(...line('rule', `${at.rule}: ${at.says}`), ...line('compared', at.compared));
  }
  const last = innermost(explanation);
  out.push(...line('instead', last.remedy), ...line('Linux', last.linux === '-' ? '' : last.linux));
  return out;
}

/** The table's entry of a rule as lines; `null` for an id that it does not have. */
export function ruleLines(id: string): string[] | null {
  const rule = findRule(id);
  if (rule === null) return null;
  const line = (name: string, text: string): string => `  ${name.padEnd(10)}${text}`;
  return [rule.id, line('says', rule.says), line('instead', rule.remedy), line('Linux', rule.linux === '-' ? 'has none: a rule of the lab' : rule.linux)];
}

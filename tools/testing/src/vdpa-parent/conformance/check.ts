/** One line of the suite's tables. */
import type { RowId } from '@vdpalab/features';
import type { OptionalOp, ParentOffers } from './subject.ts';

/** What is shown of one operation through one bus driver. */
export interface Check<C> {
  readonly row: RowId;
  /** Other rows that it shows. */
  readonly also?: readonly RowId[];
  /** A sentence of behaviour. */
  readonly title: string;
  /** The operation it needs; with none, `run` holds for every parent. */
  readonly op?: OptionalOp;
  readonly run?: (context: C) => Promise<void>;
  /** What users of the operation do where a parent has none. */
  readonly absent?: (context: C) => Promise<void>;
}

/** What of a check holds for a parent; null when nothing does. */
export function applicable<C>(check: Check<C>, { optional }: ParentOffers): ((context: C) => Promise<void>) | null {
  const present = check.op === undefined || optional.includes(check.op);
  return (present ? check.run : check.absent) ?? null;
}

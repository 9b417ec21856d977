/** What an entry of the table of refusals is. */

/**
 * One rule of refusal: what it says; the shortest thing that would have worked; where Linux 6.1 has it, as file and
 * function.
 *
 * A rule of the lab itself has no counterpart in Linux and says so with `-`.
 */
export type RuleRow = readonly [says: string, remedy: string, linux: string];

/** Rules of one subsystem, by id. */
export type RuleRows = Readonly<Record<string, RuleRow>>;

/** A rule with its names. */
export interface Rule {
  readonly id: string;
  /** One sentence. */
  readonly says: string;
  /** The shortest thing that would have worked. */
  readonly remedy: string;
  /** File and function of Linux 6.1; `-` where Linux has none. */
  readonly linux: string;
}

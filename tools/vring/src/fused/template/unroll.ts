/** Helpers of the templates. */

/**
 * A loop body several times over, each leaving the loop by `break` when it is done.
 *
 * V8 checks a typed array's kind and loads its base and length anew in each round of a loop; unrolled, it does so once
 * for several bodies.
 */
export function repeat(times: number, body: string): string {
  return Array.from({ length: times }, () => body).join('\n    ');
}

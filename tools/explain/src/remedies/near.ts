/** Names that were meant, and lists of names for a person. */

/** At most this many names are listed. */
const LISTED = 8;

/** `a, b and 3 more`. @param none what is said of an empty list */
export function listed(names: readonly string[], none: string): string {
  if (names.length === 0) return none;
  const shown = names.slice(0, LISTED).join(', ');
  return names.length > LISTED ? `${shown} and ${names.length - LISTED} more` : shown;
}

/** The name that differs least from what was written, if it is near enough to be meant. */
export function nearest(name: string, names: readonly string[]): string | null {
  const limit = Math.max(1, Math.floor(name.length / 3));
  let best: { readonly name: string; readonly cost: number } | null = null;
  for (const candidate of names) {
    const cost = distance(name, candidate);
    if (cost <= limit && (best === null || cost < best.cost)) best = { name: candidate, cost };
  }
  return best?.name ?? null;
}

/** Edits from one word to the other; two letters that changed places are one. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1), swapped));
    }
  }
  return at(a.length, b.length);
}

/** What a message names first: the text up to `: `. */
export function subject(text: string): string {
  return /^(.*?): /.exec(text)?.[1] ?? text;
}

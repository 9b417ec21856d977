/** A page, or a marked part of one, that is written from the code. */

/** What is written where. */
export interface Page {
  /** Relative to the root of the workspace. */
  readonly path: string;
  /** Name of the marked part; `null` when the whole file is written. */
  readonly part: string | null;
  readonly text: string;
}

/**
 * A page's text with its marked part replaced.
 *
 * @throws Error when the page has no such part
 */
export function withPart(page: string, path: string, part: string, text: string): string {
  const [start, end] = [`<!-- generated: ${part} -->`, '<!-- end -->'];
  const from = page.indexOf(start);
  const to = page.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`${path}: no part between "${start}" and "${end}"`);
  return `${page.slice(0, from + start.length)}\n\n${text.trim()}\n\n${page.slice(to)}`;
}

/** A table in Markdown; bars and line breaks inside cells are made harmless. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |\n`;
  return line(head) + `|${'---|'.repeat(head.length)}\n` + rows.map(line).join('');
}

/** Text as code in Markdown. */
export const code = (text: string): string => `\`${text}\``;

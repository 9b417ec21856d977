/** Output that is text or JSON, laid out as iproute2's json_print does: pretty with -p, arrays on one line. */

/** Values iproute2 prints. */
export type Json = string | number | bigint | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** One value. @param depth levels of indentation around it; `null` prints no line breaks */
function print(value: Json, depth: number | null): string {
  if (Array.isArray(value)) return depth === null ? `[${value.map((v) => print(v, null)).join(',')}]` : `[ ${value.map((v) => print(v, null)).join(',')}${value.length > 0 ? ' ' : ''}]`;
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
  const entries = Object.entries(value as { readonly [key: string]: Json });
  if (entries.length === 0) return '{}';
  if (depth === null) return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${print(v, null)}`).join(',')}}`;
  const pad = '    '.repeat(depth + 1);
  return `{\n${entries.map(([k, v]) => `${pad}${JSON.stringify(k)}: ${print(v, depth + 1)}`).join(',\n')}\n${'    '.repeat(depth)}}`;
}

/** A whole document, newline included. */
export function jsonText(value: Json, pretty: boolean): string {
  return `${print(value, pretty ? 0 : null)}\n`;
}

/** JSON as iproute2's json_writer prints it: arrays of scalars on one line, objects a member per line. */

/** What may be printed. */
export type Json = string | number | bigint | boolean | readonly Json[] | { readonly [key: string]: Json };

/** Text of a value, with the newline iproute2 ends with. @param pretty as with `-p` */
export function jsonText(value: Json, pretty: boolean): string {
  return `${write(value, pretty, 0)}\n`;
}

function write(value: Json, pretty: boolean, depth: number): string {
  if (Array.isArray(value)) {
    const items = value as readonly Json[];
    if (!pretty) return `[${items.map((item) => write(item, false, depth)).join(',')}]`;
    const nested = items.some((item) => typeof item === 'object');
    return `[ ${items.map((item) => write(item, true, depth + (nested ? 1 : 0))).join(',')}${items.length > 0 ? ' ' : ''}]`;
  }
  if (typeof value === 'object') {
    const members = Object.entries(value);
    if (members.length === 0) return '{}';
    const indent = '    '.repeat(depth + 1);
    const lines = members.map(([key, member]) => (pretty ? `\n${indent}${JSON.stringify(key)}: ` : `${JSON.stringify(key)}:`) + write(member, pretty, depth + 1));
    return `{${lines.join(',')}${pretty ? `\n${'    '.repeat(depth)}` : ''}}`;
  }
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

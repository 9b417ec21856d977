/** Bytes as numbers: od and hexdump. */
import type { Applet, Program } from '../program.ts';
import { readBytes } from '../streams.ts';
import { options } from './options.ts';

const od: Applet = async (c) => {
  const o = await options(c, 'A:t:N:j:vxcbw:do', { 'address-radix': 'A', format: 't', 'read-bytes': 'N', 'skip-bytes': 'j' });
  const bytes = await binary(c, o.operands[0]);
  const from = Number(o.get('j') ?? 0);
  const data = bytes.subarray(from, from + Number(o.get('N') ?? Infinity));
  const type = o.get('t') ?? (o.has('x') ? 'x2' : o.has('c') ? 'c' : o.has('b') ? 'o1' : 'o2');
  const m = /^([xodu])([1248]?)$/.exec(type);
  const size = Number(m?.[2] || (type === 'c' || type === 'a' ? 1 : 4));
  const address = (n: number): string => {
    const radix = o.get('A') ?? 'o';
    return radix === 'n' ? '' : n.toString(radix === 'x' ? 16 : radix === 'd' ? 10 : 8).padStart(radix === 'x' ? 6 : 7, '0');
  };
  const width = type === 'c' ? 3 : { x: size * 2, o: [0, 3, 6, 0, 11, 0, 0, 0, 22][size], d: [0, 4, 6, 0, 11, 0, 0, 0, 20][size], u: [0, 3, 5, 0, 10, 0, 0, 0, 20][size] }[m?.[1] ?? 'x'] ?? 2;
  const wide = Number(o.get('w') ?? 16);
  let last = '';
  let starred = false;
  for (let at = 0; at < data.length; at += wide) {
    const row = data.subarray(at, at + wide);
    const cells: string[] = [];
    for (let i = 0; i < row.length; i += size) {
      let value = 0n;
      for (let j = Math.min(size, row.length - i) - 1; j >= 0; j--) value = (value << 8n) | BigInt(row[i + j]);
      if (type === 'c') cells.push(charName(Number(value)).padStart(3));
      else if (m?.[1] === 'd') cells.push(BigInt.asIntN(size * 8, value).toString().padStart(width));
      else if (m?.[1] === 'u') cells.push(value.toString().padStart(width));
      else cells.push(value.toString(m?.[1] === 'o' ? 8 : 16).padStart(width, '0'));
    }
    const line = cells.map((cell) => ` ${cell}`).join('');
    if (line === last && at + wide < data.length + 1 && row.length === wide && !o.has('v')) {
      if (!starred) c.out('*\n');
      starred = true;
      continue;
    }
    starred = false;
    last = line;
    c.out(`${address(from + at)}${line}\n`);
  }
  const end = address(from + data.length);
  if (end !== '') c.out(`${end}\n`);
  return 0;
};

function charName(byte: number): string {
  const named: Readonly<Record<number, string>> = { 0: '\\0', 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r' };
  return named[byte] ?? (byte < 0x20 || byte > 0x7e ? byte.toString(8).padStart(3, '0') : String.fromCharCode(byte));
}

async function binary(c: Program, path: string | undefined): Promise<Uint8Array> {
  const fd = path === undefined || path === '-' ? 0 : await c.p.open(path);
  try {
    return await readBytes(c.p, fd);
  } finally {
    if (fd !== 0) await c.p.close(fd);
  }
}

const hexdump: Applet = async (c) => {
  const o = await options(c, 'Cvn:s:x', { canonical: 'C' });
  const from = Number(o.get('s') ?? 0);
  const data = (await binary(c, o.operands[0])).subarray(from, from + Number(o.get('n') ?? Infinity));
  let last = '';
  let starred = false;
  const digits = o.has('C') || c.name === 'hd' ? 8 : 7;
  for (let at = 0; at < data.length; at += 16) {
    const row = data.subarray(at, at + 16);
    const key = row.join();
    if (key === last && row.length === 16 && !o.has('v')) {
      if (!starred) c.out('*\n');
      starred = true;
      continue;
    }
    last = key;
    starred = false;
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0'));
    const address = (from + at).toString(16).padStart(digits, '0');
    if (digits === 8) {
      const text = [...row].map((byte) => (byte < 0x20 || byte > 0x7e ? '.' : String.fromCharCode(byte))).join('');
      c.out(`${address}  ${hex.slice(0, 8).join(' ').padEnd(23)}  ${hex.slice(8).join(' ').padEnd(23)}  |${text}|\n`);
    } else {
      const words = Array.from({ length: Math.ceil(row.length / 2) }, (_, i) => (hex[2 * i + 1] ?? '00') + hex[2 * i]);
      c.out(`${address} ${words.join(' ').padEnd(39)}\n`);
    }
  }
  if (data.length > 0) c.out(`${(from + data.length).toString(16).padStart(digits, '0')}\n`);
  return 0;
};

export const dumpApplets: [string, Applet][] = [['od', od], ['hexdump', hexdump], ['hd', hexdump]];

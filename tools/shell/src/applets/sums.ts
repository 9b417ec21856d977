/** Programs on bytes as a whole: sums, base64, truncate, fold, comm, expand. */
import { createHash } from 'node:crypto';
import { O_CREAT, O_WRONLY, utf8Encode } from '@vdpalab/uapi';
import type { Applet } from '../program.ts';
import { byBytes, linesOf } from '../streams.ts';
import { errorText } from '../system.ts';
import { options, quoteName } from './options.ts';

const sum = (algorithm: string): Applet => async (c) => {
  const o = await options(c, 'bct', { binary: 'b', check: 'c' });
  const { texts, failed } = await c.inputs(o.operands);
  for (const { path, text } of texts) c.out(`${createHash(algorithm).update(utf8Encode(text)).digest('hex')}  ${path}\n`);
  return failed ? 1 : 0;
};

/** The POSIX CRC, whose last input is the length. */
function crc(bytes: Uint8Array): number {
  let value = 0;
  const feed = (byte: number): void => {
    value ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1;
  };
  for (const byte of bytes) feed(byte);
  for (let length = bytes.length; length > 0; length = Math.floor(length / 256)) feed(length & 0xff);
  return ~value >>> 0;
}

const cksum: Applet = async (c) => {
  const o = await options(c, '');
  const { texts, failed } = await c.inputs(o.operands);
  for (const { path, text } of texts) {
    const bytes = utf8Encode(text);
    c.out(`${crc(bytes)} ${bytes.length}${o.operands.length === 0 ? '' : ` ${path}`}\n`);
  }
  return failed ? 1 : 0;
};

const base64: Applet = async (c) => {
  const o = await options(c, 'dw:i', { decode: 'd', wrap: 'w' });
  const { texts, failed } = await c.inputs(o.operands.slice(0, 1));
  for (const { text } of texts) {
    if (o.has('d')) {
      c.out(Buffer.from(text, 'base64').toString('utf8'));
      continue;
    }
    const encoded = Buffer.from(utf8Encode(text)).toString('base64');
    const width = Number(o.get('w') ?? 76);
    c.out(width === 0 ? encoded : (encoded.match(new RegExp(`.{1,${width}}`, 'g')) ?? []).map((line) => `${line}\n`).join(''));
  }
  return failed ? 1 : 0;
};

const truncate: Applet = async (c) => {
  const o = await options(c, 'cs:', { size: 's', 'no-create': 'c' });
  const m = /^([-+]?)(\d+)([KMG]?)$/.exec(o.get('s') ?? '');
  if (m === null || o.operands.length === 0) {
    await c.err(`truncate: ${o.has('s') ? (m === null ? `Invalid number: ${quoteName(o.get('s') ?? '')}` : 'missing file operand') : "you must specify either '--size' or '--reference'"}\nTry 'truncate --help' for more information.\n`);
    return 1;
  }
  const size = Number(m[2]) * ({ '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[m[3]] ?? 1);
  let status = 0;
  for (const path of o.operands) {
    try {
      const fd = await c.p.open(path, O_WRONLY | (o.has('c') ? 0 : O_CREAT), 0o666);
      await c.p.close(fd);
      const old = await c.read(path);
      const bytes = utf8Encode(old);
      const wanted = m[1] === '+' ? bytes.length + size : m[1] === '-' ? Math.max(0, bytes.length - size) : size;
      const next = new Uint8Array(wanted);
      next.set(bytes.subarray(0, wanted));
      await c.p.writeFile(path, Buffer.from(next).toString('latin1'));
    } catch (error) {
      status = await c.fail(`cannot open ${quoteName(path)} for writing: ${errorText(error)}`);
    }
  }
  return status;
};

const fold: Applet = async (c) => {
  const o = await options(c, 'w:sb', { width: 'w', spaces: 's' });
  const width = Number(o.get('w') ?? 80);
  const { texts, failed } = await c.inputs(o.operands);
  for (const { text } of texts) {
    for (const line of linesOf(text)) c.out(`${line === '' ? '' : (line.match(new RegExp(`.{1,${width}}`, 'gu')) ?? []).join('\n')}\n`);
  }
  return failed ? 1 : 0;
};

const expand: Applet = async (c) => {
  const o = await options(c, 't:', { tabs: 't' });
  const stop = Number(o.get('t') ?? 8);
  const { texts, failed } = await c.inputs(o.operands);
  for (const line of texts.flatMap(({ text }) => linesOf(text))) {
    let out = '';
    for (const char of line) out += char === '\t' ? ' '.repeat(stop - (out.length % stop)) : char;
    c.out(`${out}\n`);
  }
  return failed ? 1 : 0;
};

const comm: Applet = async (c) => {
  const o = await options(c, '123');
  const { texts, failed } = await c.inputs(o.operands);
  const [a = [], b = []] = texts.map(({ text }) => linesOf(text));
  if (failed) return 1;
  const show = (column: '1' | '2' | '3', line: string): void => {
    if (!o.has(column)) c.out(`${'\t'.repeat((['1', '2', '3'] as const).filter((other) => other < column && !o.has(other)).length)}${line}\n`);
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const order = i >= a.length ? 1 : j >= b.length ? -1 : byBytes(a[i], b[j]);
    if (order < 0) show('1', a[i++]);
    else if (order > 0) show('2', b[j++]);
    else {
      show('3', a[i++]);
      j++;
    }
  }
  return 0;
};

export const sumApplets: [string, Applet][] = [
  ['md5sum', sum('md5')], ['sha1sum', sum('sha1')], ['sha256sum', sum('sha256')], ['sha512sum', sum('sha512')], ['cksum', cksum], ['base64', base64],
  ['truncate', truncate], ['fold', fold], ['expand', expand], ['comm', comm],
];

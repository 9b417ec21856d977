/** `mknod`: a node for a character device. */
import type { Applet } from '../program.ts';
import { errorText } from '../system.ts';
import { missingOperand, options, quoteName } from './options.ts';

/** A number as the program takes it: decimal, octal or hexadecimal. @returns null for what is none */
function deviceNumber(text: string): number | null {
  if (!/^(0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(text)) return null;
  return /^0\d/.test(text) ? Number.parseInt(text, 8) : Number(text);
}

/** `mknod [-m MODE] NAME c MAJOR MINOR`; the lab has no block devices and no named pipes to make. */
export const mknod: Applet = async (c) => {
  const o = await options(c, 'm:', { mode: 'm' });
  const [name, type, majorText, minorText, extra] = o.operands;
  if (name === undefined) return await missingOperand(c);
  if (type === undefined) return await c.fail(`missing operand after ${quoteName(name)}\nTry 'mknod --help' for more information.`);
  if (type === 'p') return await c.fail(`${name}: Operation not supported`);
  if (majorText === undefined || minorText === undefined) {
    return await c.fail(`missing operand after ${quoteName(o.operands.at(-1) ?? '')}\nSpecial files require major and minor device numbers.\nTry 'mknod --help' for more information.`);
  }
  if (extra !== undefined) return await c.fail(`extra operand ${quoteName(extra)}\nTry 'mknod --help' for more information.`);
  if (type === 'b') return await c.fail(`${name}: Operation not supported`);
  if (type !== 'c' && type !== 'u') return await c.fail(`invalid device type ${quoteName(type)}\nTry 'mknod --help' for more information.`);
  const [major, minor] = [deviceNumber(majorText), deviceNumber(minorText)];
  if (major === null) return await c.fail(`invalid major device number ${quoteName(majorText)}`);
  if (minor === null) return await c.fail(`invalid minor device number ${quoteName(minorText)}`);
  try {
    await c.p.mknod(name, Number.parseInt(o.get('m') ?? '666', 8), { major, minor });
    return 0;
  } catch (error) {
    return await c.fail(`${name}: ${errorText(error)}`);
  }
};

/** `dmesg` of util-linux on the lab's log. */
import { formatLogLine, formatLogTime } from '@vdpalab/lab';
import type { Applet } from '../program.ts';
import { options } from '../applets/options.ts';

const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'];

/** Print the kernel log, or clear it. */
export const dmesg: Applet = async (c) => {
  const o = await options(c, 'xtcCkrTl:f:eH', { decode: 'x', notime: 't', 'read-clear': 'c', clear: 'C', raw: 'r', level: 'l', ctime: 'T', kernel: 'k' });
  const log = c.system.lab?.log;
  if (log === undefined) return c.fail('read kernel buffer failed: Operation not permitted');
  if ((o.has('c') || o.has('C')) && c.p.proc.cred.uid !== 0) return c.fail('clear kernel buffer failed: Operation not permitted');
  const levels = o.get('l')?.split(',');
  if (!o.has('C')) {
    for (const line of log.lines) {
      if (levels !== undefined && !levels.includes(LEVELS[line.level] ?? 'info')) continue;
      const time = o.has('t') ? '' : formatLogTime(line.at);
      const head = o.has('r') ? `<${line.level}>` : o.has('x') ? formatLogLine({ ...line, text: '' }) : '';
      const margin = o.has('r') ? '' : ' '.repeat(head.length + time.length);
      c.out(`${head}${time}${line.text.replaceAll('\n', `\n${margin}`)}\n`);
    }
  }
  if (o.has('c', 'C')) log.clear();
  return 0;
};

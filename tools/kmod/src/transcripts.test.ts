/** The tools against what they printed on Linux 6.1: standard output, standard error and exit status of every command. */
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { FakeSystem } from './fake-system.ts';
import { recorded, recordedLines, recordedTree } from './recorded.ts';

const sizes = new Map(recordedLines('sizes').map((line) => line.split(' ')).map(([name, size]) => [name as string, Number(size)]));

/** A kernel address, which is another one each time. */
const masked = (text: string): string => text.replace(/ctx=0x[0-9a-f]+/g, 'ctx=0x0');

for (const section of recorded('tools.txt').split('\n## ').slice(1)) {
  const [name, ...lines] = section.split('\n');
  describe(`recorded: ${name}`, () => {
    it('prints the same for every command', async () => {
      covers('1.8.3', '2.14.19', '2.14.21', '2.14.22');
      const sys = new FakeSystem(recordedTree(), '6.1.0-56-amd64', sizes);
      sys.refuse.set('rk_noexit', 'EBUSY');
      sys.refuse.set('rk_fail', 'EINVAL');
      const got: string[] = [];
      for (const line of lines) {
        if (line.startsWith('# loaded:')) {
          sys.setLoaded(line.slice('# loaded:'.length).split(' ').filter((w) => w !== ''));
          got.push(line);
        }
        if (!line.startsWith('$ ')) continue;
        got.push(line);
        sys.stdout = '';
        sys.stderr = '';
        sys.refuse.delete('rk_noexit');
        if (line.includes('-r ')) sys.refuse.set('rk_noexit', 'EBUSY');
        const status = await sys.shell(line.slice(2));
        got.push(...sys.stdout.split('\n').filter((l) => l !== ''));
        got.push(...sys.stderr.split('\n').filter((l) => l !== '').map((l) => `stderr: ${l}`), `exit: ${status}`);
      }
      expect(masked(got.join('\n'))).toBe(masked(lines.filter((l) => l !== '').join('\n')));
    });
  });
}

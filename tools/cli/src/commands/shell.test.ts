import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { interactive } from './shell.ts';

async function type(text: string): Promise<{ out: string; err: string; status: number }> {
  let [out, err] = ['', ''];
  const status = await interactive({ dmesg: false, input: Readable.from([text]), out: (t) => void (out += t), err: (t) => void (err += t) });
  return { out, err, status };
}

it('runs what is typed, lines that go on included, and ends with the last status', async () => {
  expect(await type('echo a \\\n b\nfor i in 1 2; do\necho $i\ndone\nfalse\n')).toEqual({ out: 'a b\n1\n2\n', err: '', status: 1 });
});

it('ends at exit, with its status', async () => {
  expect(await type('cat /nosuch\nexit 3\necho never\n')).toEqual({ out: '', err: 'cat: /nosuch: No such file or directory\n', status: 3 });
});

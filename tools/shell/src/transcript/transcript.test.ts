import { describe, expect, it } from 'vitest';
import { diffLines, sameOutput } from './compare.ts';
import { parseTranscript } from './parse.ts';

const text = `# A remark.
# lab: x.yaml
# covers: 1.5.1 1.5.2

## first
$ echo a
a
stderr: oops
exit: 0
dmesg: kern  :info  : hello
uevent: add@/x SUBSYSTEM=y

# between
$ false
exit: 1
`;

describe('a transcript', () => {
  it('is commands with output, status, log and uevents, under headings', () => {
    const t = parseTranscript(text, 'x');
    expect(t.commands).toMatchObject([
      { command: 'echo a', line: 6, section: 'first', out: ['a', 'stderr: oops', 'exit: 0'], dmesg: ['kern  :info  : hello'], uevents: ['add@/x SUBSYSTEM=y'] },
      { command: 'false', section: 'first', out: ['exit: 1'] },
    ]);
    expect(t).toMatchObject({ lab: 'x.yaml', covers: ['1.5.1', '1.5.2'] });
  });

  it('may be a script: commands alone', () => {
    expect(parseTranscript('$ a\n# about b\n$ b\n', 'x').commands.map((c) => [c.command, c.recorded])).toEqual([['a', false], ['b', false]]);
  });

  it('may print lines that look like remarks', () => {
    expect(parseTranscript('$ cat f\nx\n# no remark\n\nexit: 0\n', 'x').commands[0]?.out).toEqual(['x', '# no remark', '', 'exit: 0']);
  });

  it('may print lines that look like the log', () => {
    expect(parseTranscript('$ cat f\nuevent: MODALIAS=x\ndmesg: y\nexit: 0\n', 'x').commands[0]).toMatchObject({ out: ['uevent: MODALIAS=x', 'dmesg: y', 'exit: 0'], uevents: [], dmesg: [] });
  });

  it.each([
    ['hello\n$ a\n', "x:1: 'hello' stands before the first command, whose line begins with \"$ \""],
    ['$ a\nexit: 0\nmore\n', "x:3: 'more' stands after the exit status of 'a'"],
    ['$ a\nexit: none\n', "x:2: 'exit: none' is no exit status"],
  ])('says where it is wrong: %j', (bad, message) => {
    expect(() => parseTranscript(bad, 'x')).toThrow(message);
  });
});

describe('comparing', () => {
  it('lets dates, sizes, addresses and list order differ, and nothing else', () => {
    expect(sameOutput(['-rw-r--r-- 1 root root 4096 Nov 20 14:30 x'], ['-rw-r--r-- 1 root root 4096 Dec  1 10:00 x'])).toBe(true);
    expect(sameOutput(['vdpa 100 2 a,b'], ['vdpa 999 2 b,a'], 'lsmod')).toBe(true);
    expect(sameOutput(['vdpa 100 2 a,b'], ['vdpa 100 3 a,b'], 'lsmod')).toBe(false);
    expect(sameOutput(['-rw-r--r-- x'], ['-rw-rw-r-- x'])).toBe(false);
  });

  it('takes ... for any text in a line and for any lines', () => {
    expect(sameOutput(['a ... c', '...', 'end'], ['a b c', '1', '2', 'end'])).toBe(true);
    expect(sameOutput(['...', 'end'], ['end'])).toBe(true);
    expect(sameOutput(['...', 'end'], ['end', 'more'])).toBe(false);
  });

  it('shows what is missing and what is new', () => {
    expect(diffLines(['a', 'b', 'c'], ['a', 'x', 'c'])).toEqual(['  a', '- b', '+ x', '  c']);
  });
});

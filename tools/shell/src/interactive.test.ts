import { expect, test } from 'vitest';
import { Interactive, isUnfinished } from './interactive.ts';
import { testShell } from './testing/shell-kernel.ts';

test.each([
  ['if true; then', true], ['for i in 1; do', true], ['echo "a', true], ["echo 'a", true], ['echo a \\', true], ['cat <<E', true], ['f() {', true], ['ls |', true],
  ['cat <<E\nx\nE', false], ['echo a', false], ['fi', false], ['echo )', false], ['', false], ['a=$(ls', true],
])('%j goes on: %s', (text, unfinished) => {
  expect(isUnfinished(text)).toBe(unfinished);
});

test('lines are joined until they make a command', async () => {
  const output: string[] = [];
  const { session, inTask } = await testShell({ onOutput: (text) => void output.push(text) });
  const shell = new Interactive(session, inTask);
  expect(shell.prompt).toBe('root@lab:/tmp/work# ');
  expect(await shell.submit('for i in 1 2; do')).toBeNull();
  expect(shell.prompt).toBe('> ');
  expect(await shell.submit('echo $i')).toBeNull();
  expect(await shell.submit('done; false')).toBe(1);
  expect(output.join('')).toBe('1\n2\n');
  expect(shell.history).toEqual(['for i in 1 2; do\necho $i\ndone; false']);
  expect(await shell.submit('if x')).toBeNull();
  shell.cancel();
  expect(await shell.submit('cd; exit 3')).toBe(3);
  expect(shell.exited).toBe(3);
});

test('completes programs, variables and paths of the lab', async () => {
  const { session, inTask, sh } = await testShell();
  await sh('mkdir devices; touch devices/vdpa0 devices/vdpa1 "devices/a b"; ln -s devices link; longname=1; fun() { :; }');
  const shell = new Interactive(session, inTask);
  expect(await shell.complete('readl')).toEqual([['readlink'], 'readl']);
  expect(await shell.complete('echo a | fu')).toEqual([['fun'], 'fu']);
  expect(await shell.complete('ls dev')).toEqual([['devices/'], 'dev']);
  expect(await shell.complete('ls li')).toEqual([['link/'], 'li']);
  expect(await shell.complete('cat devices/v')).toEqual([['devices/vdpa0', 'devices/vdpa1'], 'devices/v']);
  expect(await shell.complete('cat devices/a')).toEqual([['devices/a\\ b'], 'devices/a']);
  expect(await shell.complete('echo $longn')).toEqual([['$longname'], '$longn']);
  expect(await shell.complete('ls /nosuch/')).toEqual([[], '/nosuch/']);
  expect(await shell.complete('echo > /proc/devi')).toEqual([['/proc/devices'], '/proc/devi']);
});

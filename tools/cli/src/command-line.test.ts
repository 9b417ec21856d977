import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { commandLine } from './command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'vdpalab-words-'));
afterEach(() => void vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Write a file. @returns its path */
function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

/** What the command says to these words. */
async function said(...words: string[]): Promise<{ err: string; out: string; status: number | null }> {
  let [err, out, status] = ['', '', null as number | null];
  await commandLine(words, {
    err: (text) => void (err += text), out: (text) => void (out += text), input: process.stdin, exit: (code) => void (status = code),
  });
  return { err: err.replaceAll(`${folder}/`, ''), out, status };
}

const HELP = 'vdpalab: `vdpalab --help` lists the commands, `vdpalab COMMAND --help` what one takes\n';

describe('wrong words end with status 2, one line of what is wrong and one of where help is', () => {
  it.each([
    [['nosuch'], "unknown command 'nosuch'"],
    [['run'], "missing required argument 'file'"],
    [['run', '--bogus', 'x'], "unknown option '--bogus'"],
    [['run', '--seed', 'one', 'x'], "option '--seed <number>' argument 'one' is invalid. not a whole number"],
    [['graph', 'why', 'vdpa'], "missing required argument 'needed'"],
    [['explain'], 'name a rule, a transcript, or commands with -c'],
  ])('%j', async (words, what) => {
    expect(await said(...words)).toEqual({ err: `vdpalab: ${what}\n${HELP}`, out: '', status: 2 });
  });

  it('but asked-for help is no mistake', async () => {
    const { err, out, status } = await said('run', '--help');
    expect({ err, status }).toEqual({ err: '', status: 0 });
    expect(out).toContain('Usage: vdpalab run');
  });
});

describe('a wrong file is named, with the place where there is one', () => {
  const command = '$ true\nexit: 0\n';
  it.each([
    ['is not there', [join(folder, 'nosuch.txt')], 'nosuch.txt: No such file or directory'],
    ['is a folder', [folder], `${folder}: Is a directory`],
    ['has no command', [file('none.txt', '# a remark\n')], 'none.txt:1: no command is in it: a command\'s line begins with "$ "'],
    ['is a script without prompts', [file('bare.txt', 'modprobe vdpa\n')], "bare.txt:1: 'modprobe vdpa' stands before the first command, whose line begins with \"$ \""],
    ['has a wrong line', [file('status.txt', '$ true\nexit: well\n')], "status.txt:2: 'exit: well' is no exit status"],
    ['names a lab that is not there', [file('lost.txt', `## a\n# lab: lost.yaml\n${command}`)], 'lost.txt:2: there is no lab file lost.yaml'],
    ['gets a lab that is not there', ['--lab', join(folder, 'lost.yaml'), file('good.txt', command)], 'lost.yaml: No such file or directory'],
    ['gets a folder for a lab', ['--lab', folder, join(folder, 'good.txt')], `${folder}: Is a directory`],
    ['gets a lab with a wrong value', ['--lab', file('size.yaml', 'memory: lots\n'), join(folder, 'good.txt')], 'size.yaml:1:9: memory: a size such as 256M'],
    ['gets a lab with a wrong name', ['--lab', file('name.yaml', 'modprobe.d:\n  vdpa: x\n'), join(folder, 'good.txt')], 'name.yaml:2:9: modprobe.d.vdpa: a name ending in .conf'],
    ['gets a lab that copies what is not there', ['--lab', file('copy.yaml', 'files:\n  /root/a: lost\n'), join(folder, 'good.txt')],
      'copy.yaml:2:12: files./root/a: lost: no such file or folder beside the lab file'],
    ['gets a lab that leaves out what there is not', ['--lab', file('out.yaml', 'modules:\n  without: [ifcvf, ifcfv]\n'), join(folder, 'good.txt')],
      'out.yaml:2:20: modules.without[1]: there is no module ifcfv'],
    ['gets no rule', ['--fail', 'ifcvf', join(folder, 'good.txt')], "'ifcvf': not a rule; a rule is MODULE:WHAT[:N][=ERRNO][,interval=N][,times=N][,probability=PERCENT]"],
    ['cannot be traced there', ['--trace', join(folder, 'none/trace'), join(folder, 'good.txt')], 'none/trace: No such file or directory'],
  ])('a transcript that %s', async (_, words, what) => {
    expect(await said('run', ...words)).toEqual({ err: `vdpalab: ${what}\n`.replaceAll(`${folder}/`, ''), out: '', status: 2 });
  });
});

it('says that no lab is up', async () => {
  vi.stubEnv('VDPALAB_RUNTIME_DIR', mkdtempSync(join(folder, 'labs-')));
  expect(await said('status')).toEqual({ err: 'no lab is up\n', out: '', status: 1 });
});

it('says of a failure on purpose that nothing came of it', async () => {
  const { out, status } = await said('run', '--fail', 'driver_core:create:100000', '--fail', 'ifcfv:probe', file('fails.txt', '$ true\nexit: 0\n'));
  expect(out.match(/never met: .*/g)).toEqual(['never met: ifcfv:probe']);
  expect(status).toBe(0);
});

it.each([
  ['kernel', 'driver_core:kernfs_create_dir', /^vdpalab: the kernel does not boot: .*kernfs_create_dir during init fails on purpose: asked for by 'driver_core:kernfs_create_dir'.*\n$/],
  ['first process', 'fs:alloc', /^vdpalab: fs: mm_alloc fails on purpose: asked for by 'fs:alloc'.*\n$/],
])('says in a line why a lab does not come up whose %s was made to fail', async (_, rule, line) => {
  const { err, status } = await said('run', '--fail', rule, file('boots.txt', '$ true\nexit: 0\n'));
  expect(err).toMatch(line);
  expect(status).toBe(2);
});

it('says that a script ends before the line it is to stop at', async () => {
  expect(await said('graph', 'devices', '--after', file('short.txt', '$ true\nexit: 0\n'), '--until', '5'))
    .toEqual({ err: 'vdpalab: short.txt: line 5: the file has 2 lines\n', out: '', status: 2 });
});

import { createLab } from '@vdpalab/lab';
import { describe, expect, it } from 'vitest';
import { commandNeeds } from './needs.ts';
import { parseTranscript } from './parse.ts';
import { Player, replay } from './run.ts';
import { parseSetup, strayLines } from './setup.ts';

describe('a set-up', () => {
  it('names a machine, what runs first, in front of a line and behind each command', () => {
    const script = '# lab: x.yaml\n# before 3,9: true\n# before 3: false\n# after each: dmesg -C\nf() { :; }\n';
    expect(parseSetup(script)).toEqual({ script, lab: 'x.yaml', before: new Map([[3, ['true', 'false']], [9, ['true']]]), after: ['dmesg -C'] });
  });

  it('is for one transcript: its lines are that one\'s commands', () => {
    const transcript = parseTranscript('# remark\n$ a\nexit: 0\n$ b\nexit: 0\n', 't');
    expect(strayLines(parseSetup('# before 2,3,4: true\n'), transcript)).toEqual([3]);
  });

  it('acts on the lab without a place in the comparison', async () => {
    const lab = await createLab({ config: {} });
    const player = await Player.open(lab);
    const transcript = parseTranscript('$ say $n\nhello 0\nexit: 0\n$ say $n\nhello 1\nexit: 0\n$ say $n\nhello 3\nexit: 0\n', 't');
    const setup = parseSetup('# before 7: n=$((n+1)); echo not shown\n# after each: n=$((n+1))\nsay() { echo hello $1; }\nn=0\n');
    expect((await replay(player, transcript, undefined, setup)).map((v) => v.out[0])).toEqual(['hello 0', 'hello 1', 'hello 3']);
    await player.close();
    expect(await lab.close()).toEqual([]);
  });
});

describe('what a command needs', () => {
  const of = (text: string, out: string[]) => {
    const [wanted] = parseTranscript(text, 't').commands;
    if (wanted === undefined) throw new Error('no command');
    return commandNeeds({ out, dmesg: [], uevents: [], wanted, outEqual: false, dmesgEqual: true, ueventsEqual: true, equal: false }, new Set(['rk_x', 'mtty']));
  };

  it('is each program the lab\'s shell does not find, but for one that was not found in the recording either', () => {
    expect(of('$ a; b\nexit: 0\n', ['stderr: bash: a: command not found', 'stderr: sh: 1: b: not found', 'exit: 127'])).toEqual({ programs: ['a', 'b'], modules: [] });
    expect(of('$ a\nstderr: bash: a: command not found\nexit: 127\n', ['stderr: bash: a: command not found', 'exit: 127'])).toEqual({ programs: [], modules: [] });
  });

  it('is each module it names, under either spelling', () => {
    expect(of('$ modprobe rk-x; lsmod\nmtty 16384 0\nexit: 0\n', ['exit: 1'])).toEqual({ programs: [], modules: ['rk_x', 'mtty'] });
  });
});

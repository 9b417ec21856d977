/** Every recording and every scenario in a real bash, as well as the table says; and against the lab's own shell. Some wait half a minute of real time, while others play. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labStage, realStage, recordScript } from '@vdpalab/cli';
import { sameOutput } from '@vdpalab/shell';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { recordingNames, replayRecording, scenarioNames } from '../reference/replay.ts';
import { readTable, realTableFile, regressions, unexplained } from '../reference/table.ts';
import { needsEntry } from './cli.ts';

const table = readTable(realTableFile);
const timeout = 600_000;
const folder = mkdtempSync(join(tmpdir(), 'vdpalab-replay-'));
beforeAll(() => void vi.stubEnv('VDPALAB_RUNTIME_DIR', join(folder, 'r')));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe('in the host\'s bash', () => {
  it.concurrent.for(recordingNames())('%s replays as well as the table says, and leaves nothing', { timeout }, async (name, context) => {
    needsEntry(context);
    const score = await replayRecording(name, realStage);
    expect(regressions(table, score)).toEqual([]);
    expect(score.left).toEqual([]);
  });

  it('what differs does so for a reason that is written down', () => {
    expect(unexplained(table)).toEqual([]);
    expect(Object.keys(table.recordings).sort()).toEqual([...recordingNames(), ...scenarioNames()].sort());
  });
});

describe('the host\'s bash and the lab\'s shell', () => {
  it.concurrent.for(scenarioNames())('do the same in %s, command by command', { timeout }, async (name, context) => {
    needsEntry(context);
    const known = new Set(table.recordings[name]?.differences.map((d) => d.line));
    const [lab, real] = [await replayRecording(name, labStage), await replayRecording(name, realStage)];
    const differ = real.commands.flatMap(({ verdict }, i) => {
      const own = lab.commands[i]!.verdict; // the same transcript
      return known.has(verdict.wanted.line) || sameOutput(own.out, verdict.out, verdict.wanted.command) ? [] : [`${name}:${verdict.wanted.line}: ${own.out.join('\n')} / ${verdict.out.join('\n')}`];
    });
    expect(differ).toEqual([]);
    expect(regressions(table, real)).toEqual([]);
    expect([...lab.left, ...real.left]).toEqual([]);
  });
});

describe('recording', { timeout }, () => {
  const script = '# a remark\n\n## A section\n$ echo hi; printf x\n$ x=5; no-such-program\n$ echo $? $x; cat /no/such\n';
  const transcript = '# a remark\n\n## A section\n$ echo hi; printf x\nhi\nx<no newline at end>\nexit: 0\n$ x=5; no-such-program\nstderr: bash: no-such-program: command not found\nexit: 127\n'
    + '$ echo $? $x; cat /no/such\n127 5\nstderr: cat: /no/such: No such file or directory\nexit: 1\n';

  it('in a real bash writes what the lab\'s shell would', async (context) => {
    needsEntry(context);
    const file = join(folder, 'script.txt');
    writeFileSync(file, script);
    for (const real of [true, false]) {
      let text = '';
      expect(await recordScript(file, { real, out: (part) => void (text += part) })).toEqual([]);
      expect(text).toBe(transcript);
    }
  });

  it('on a real system does the same', (context) => {
    needsEntry(context);
    const file = join(folder, 'script.txt');
    writeFileSync(file, script);
    const recorder = fileURLToPath(new URL('../../record.sh', import.meta.url));
    expect(spawnSync('bash', [recorder, file], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C', DMESG: '' } }).stdout).toBe(transcript);
  });
});

/** Frames of a C program whose rings are its own memory: through IFCVF, and through the simulator. */
import { execFile, spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { ifcvf, simulator } from './devices.ts';
import { needsReal } from './mounted-lab.ts';

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Run the driver to its end. */
function run(program: string, ...argv: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile('timeout', ['-s', 'KILL', '30', program, ...argv], { encoding: 'utf8' }, (error, stdout, stderr) => {
      resolve({ stdout, stderr, status: error === null ? 0 : typeof error.code === 'number' ? error.code : 128 });
    });
  });
}

/** Run the driver on and on, and kill it once it has passed two rounds of frames. */
function killInTraffic(program: string, ...argv: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (stderr: string) => reject(new Error(stderr)));
    child.stdout.setEncoding('utf8').on('data', (stdout: string) => {
      text += stdout;
      if (text.split('\n').length > 2) child.kill('SIGKILL');
    });
    child.on('exit', () => resolve());
  });
}

describe.each([['two IFCVF functions', ifcvf], ['the simulator', simulator]])('a driver of %s in a process of the host', (_name, devices) => {
  test('gets every frame whole, from rings in memory that is its own or shared, with and without event index', async (context) => {
    needsReal(context);
    const { program, files, end, lab } = await devices();
    const binary = program('vhost-net.c');
    for (const flags of [[], ['-e', '-t'], ['-m'], ['-m', '-e', '-t']]) {
      for (const length of ['64', '1500']) {
        expect(await run(binary, ...flags, ...files, '600', length)).toEqual({ stdout: expect.stringMatching(/^600 frames/), stderr: '', status: 0 });
      }
    }
    expect(await end()).toEqual([]);
    expect(lab.hw.ram.regions.map(({ kind }) => kind)).toEqual(['wasm']);
  }, 60_000);

  test('that is killed in the middle leaves nothing, and the next one runs', async (context) => {
    needsReal(context);
    const { program, files, end, lab } = await devices();
    const binary = program('vhost-net.c');
    for (const flags of [[], ['-m']]) {
      await killInTraffic(binary, '-f', ...flags, ...files, '64', '300');
      // Opening waits until the last close is through.
      expect(await run(binary, ...files, '64', '300')).toMatchObject({ status: 0, stderr: '' });
    }
    expect(await end()).toEqual([]);
    expect(lab.hw.ram.regions.map(({ kind }) => kind)).toEqual(['wasm']);
  }, 60_000);
});

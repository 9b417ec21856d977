import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { graphOf, recordScript, runTranscript } from '@vdpalab/cli';
import { coversTranscript } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';

const flagship = fileURLToPath(new URL('../../scenarios/flagship.txt', import.meta.url));

/** Run it under a seed. @returns what it printed, and the hash of the scheduler's decisions */
async function run(seed: number): Promise<{ differs: number; left: readonly string[]; text: string; trace: string }> {
  let text = '';
  const summary = await runTranscript(flagship, { seed, out: (t) => void (text += t), err: () => undefined });
  return { differs: summary.commands - summary.equal, left: summary.left, text, trace: /fingerprint of the run\s+([0-9a-f]{8})/.exec(text)?.[1] ?? '' };
}

async function record(seed: number): Promise<string> {
  let text = '';
  await recordScript(flagship, { seed, out: (t) => void (text += t) });
  return text;
}

describe('the main job', () => {
  it('does what its transcript says, and leaves nothing behind', async () => {
    coversTranscript(readFileSync(flagship, 'utf8'));
    const { differs, left, text } = await run(1);
    expect(text.match(/^test.*: \$ .*$/gm) ?? []).toEqual([]);
    expect({ differs, left }).toEqual({ differs: 0, left: [] });
  });

  it('gives the same bytes for the same seed', async () => {
    expect(await record(7)).toBe(await record(7));
  });

  it('passes under fifty seeds, which do not all take the same way', { timeout: 120_000 }, async () => {
    const traces = new Set<string>();
    for (let seed = 1; seed <= 50; seed++) {
      const { differs, left, trace } = await run(seed);
      expect({ seed, differs, left }).toEqual({ seed, differs: 0, left: [] });
      traces.add(trace);
    }
    expect(traces.size).toBeGreaterThanOrEqual(2);
  });

  it('can be drawn from the live lab: the process, both bus drivers, the parents and the functions', async () => {
    const text = await graphOf({ what: 'devices', format: 'json', after: flagship, until: lineOf('tcpreplay') });
    const { nodes } = JSON.parse(text) as { nodes: { label: string }[] };
    const labels = nodes.map((n) => n.label);
    expect(labels).toEqual(expect.arrayContaining([
      'vhost_vdpa', 'virtio_vdpa', 'ifcvf', 'vdpa0', 'vdpa1', 'PF 0000:07:00.0', 'VF 0000:07:00.2', 'VF 0000:07:00.3', 'virtio0 · virtio_net · eth0', '/dev/vhost-vdpa-1',
    ]));
    expect(labels.some((label) => label.startsWith('vhost-net['))).toBe(true);
  });
});

/** 1-based line of the first command with this word. */
function lineOf(word: string): number {
  return readFileSync(flagship, 'utf8').split('\n').findIndex((line) => line.startsWith('$ ') && line.includes(word)) + 1;
}

import { openTranscript } from '@vdpalab/cli';
import { createLab } from '@vdpalab/lab';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { scaleMdevs } from '../bench/mdev-scaling.ts';
import { folder } from '../playground/folders.ts';
import { goesAsWritten, scenarioPath } from '../support/goes-as-written.ts';
import { modprobe } from '../support/index.ts';

for (const name of ['mdev-2016', 'mdev-today', 'mdev-samples']) goesAsWritten(name);

describe('one vendor on both surfaces', () => {
  it('shows the same to a user of its devices', () => {
    covers('F16', 'F17', '1.9.21');
    /** What users of the first device did and saw, while it was not being removed. */
    const trace = (name: string) => openTranscript(scenarioPath(name)).transcript.commands
      .filter(({ command }) => /^vfio-dev \S+1001 /.test(command) && !command.includes('&'))
      .map(({ command, out }) => ({ command, out }));
    expect(trace('mdev-2016')).toHaveLength(3);
    expect(trace('mdev-today')).toEqual(trace('mdev-2016'));
  });

  it('lets core and bus driver know no vendor', async () => {
    covers('1.7.19', '1.7.37');
    const lab = await createLab({ config: { modules: { extra: [folder('mdev')] } } });
    const needs = (name: string): readonly string[] => [...(lab.builtModules.find(({ info }) => info.name === name)?.info.depends ?? [])].sort();
    expect(needs('vfio_mdev')).toEqual(['mdev', 'vfio']);
    for (const vendor of ['nvidia', 'i915', 'ccw_device', 'nvidia_today']) expect(needs(vendor), vendor).toEqual(['mdev', 'vfio']);
    expect(needs('mdev')).toEqual([]);
    expect(await lab.close()).toEqual([]);
    // A kernel without VFIO_MDEV: what a vendor needs is not there.
    const without = await createLab({ config: { modules: { without: ['mdev'], extra: [folder('mdev')] } } });
    const log: string[] = [];
    await without.user(async (p) => {
      await expect(modprobe(without, p, 'nvidia')).rejects.toThrow();
      log.push(...without.log.lines.filter(({ text }) => text.startsWith('nvidia:')).map(({ text }) => text));
    });
    expect(log).toContain('nvidia: Unknown symbol mdev_register_device (err -2)');
    expect(await without.close()).toEqual([]);
  });
});

describe('many mediated devices', () => {
  it('cost the same time and memory each, few or many', { timeout: 120_000 }, async () => {
    await scaleMdevs(100); // compiled once, for both
    const [few, many] = [await scaleMdevs(200), await scaleMdevs(1000)];
    expect((many.create + many.remove) / (few.create + few.remove)).toBeLessThan(8); // 5 would be a straight line
    expect(many.heap / few.heap).toBeLessThan(6);
  });
});

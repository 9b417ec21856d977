/** A lab whose kernel has the behaviour of a later release: what the reference release lacks is there, and only then. */
import { VHOST_BACKEND_F_RESUME } from '@vdpalab/uapi';
import { VhostVdpaFile } from '@vdpalab/user';
import { expect, it } from 'vitest';
import { simLab, type SimLab } from '../support/index.ts';

const later = (kernel: '6.1' | '6.12', modules: readonly string[]): Promise<SimLab> => simLab(modules, 1, { kernel, memory: '64M', iommu: false });

it.each([['6.1', false], ['6.12', true]] as const)('%s: a simulator says whether it resumes (%s)', async (kernel, resumes) => {
  const { lab, sh, close } = await later(kernel, ['vdpa_sim_net', 'vhost_vdpa']);
  expect(await sh('uname -r')).toEqual([`${kernel}.0-vdpalab`, 'exit: 0']);
  await sh('vdpa dev add name vdpa0 mgmtdev vdpasim_net');
  const features = await lab.user(async (p) => {
    const file = await VhostVdpaFile.open(p, '/dev/vhost-vdpa-0');
    const offered = await file.backendFeatures();
    await p.close(file.fd);
    return offered;
  });
  expect((features & (1n << BigInt(VHOST_BACKEND_F_RESUME))) !== 0n).toBe(resumes);
  await sh('vdpa dev del vdpa0');
  expect(await close()).toEqual([]);
});

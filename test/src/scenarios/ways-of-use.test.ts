/** The three ways to use the project, on one module: in a scripted scenario, alone among stubs, and in questions to the graph. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runTranscript, vdpalab } from '@vdpalab/cli';
import { covers, startModule, unused, type Startable } from '@vdpalab/testing';
import { expect, it } from 'vitest';
import { builtModules, root } from '../conformance/workspace.ts';

const SCRIPT = [
  '# lab: lab.yaml', '', '$ modprobe vdpa_sim_net', 'exit: 0', 'uevent: ...', '$ vdpa mgmtdev show vdpasim_net | head -1', 'vdpasim_net: ', 'exit: 0', '',
].join('\n');

/** Run a script in a folder of its own. @returns commands, how many went as written, and what was printed */
async function run(script: string): Promise<{ commands: number; equal: number; left: readonly string[]; text: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'ways-'));
  writeFileSync(join(folder, 'lab.yaml'), 'memory: 64M\niommu: false\n');
  writeFileSync(join(folder, 'script.txt'), script);
  let text = '';
  const { commands, equal, left } = await runTranscript(join(folder, 'script.txt'), { out: (t) => void (text += t), err: () => undefined });
  rmSync(folder, { recursive: true });
  return { commands, equal, left, text };
}

/** `vdpalab graph ...` */
async function graph(...words: readonly string[]): Promise<string> {
  let text = '';
  const io = { out: (t: string) => void (text += t), err: (t: string) => void (text += t), input: process.stdin, exit: () => undefined };
  await vdpalab(io).parseAsync(['graph', ...words], { from: 'user' });
  return text;
}

it('a module is used in a scripted scenario, alone among stubs, and in questions to the graph', async () => {
  covers('1.8.4');
  // In a scenario, which says what went otherwise than written.
  expect(await run(SCRIPT)).toMatchObject({ commands: 2, equal: 2, left: [] });
  const otherwise = await run(SCRIPT.replace('vdpasim_net: \n', 'vdpasim_blk: \n'));
  expect(otherwise).toMatchObject({ commands: 2, equal: 1, left: [] });
  expect(otherwise.text).toMatch(/- vdpasim_blk:.*\n.*\+ vdpasim_net:/);

  // Alone: without a loader, a lab or any other module, each of its symbols a stub.
  const { info, pkg } = builtModules().find((m) => m.info.name === 'vdpa_sim_net')!;
  const { default: module } = (await import(pathToFileURL(join(root, pkg.dir, 'dist/module.js')).href)) as { default: Startable<Record<string, unknown>, Record<never, never>, object> };
  const calls: string[] = [];
  const note = (name: string, answer?: object) => (): unknown => {
    calls.push(name);
    return answer;
  };
  const stubs = {
    ...Object.fromEntries(info.imports.map(({ name }) => [name, unused(name) as unknown])),
    device_initialize: note('device_initialize', {}), device_add: note('device_add'), device_del: note('device_del'), put_device: note('put_device'),
    vdpa_mgmtdev_register: note('vdpa_mgmtdev_register'), vdpa_mgmtdev_unregister: note('vdpa_mgmtdev_unregister'),
  };
  const running = await startModule(module, stubs);
  await running.exit();
  expect(calls.splice(0)).toEqual(['device_initialize', 'device_add', 'vdpa_mgmtdev_register', 'vdpa_mgmtdev_unregister', 'device_del', 'put_device']);
  await expect(startModule(module, { ...stubs, vdpa_mgmtdev_register: () => Promise.reject(new Error('the stub refuses')) })).rejects.toThrow('the stub refuses');
  expect(calls).toEqual(['device_initialize', 'device_add', 'device_del', 'put_device']); // what it took, it gave back

  // In the graph: which module it needs and by which symbols, and what it would miss.
  expect(await graph('why', 'vdpa_sim_net', 'vdpa')).toMatch(/^vdpa_sim_net needs vdpa: \w+, vdpa_mgmtdev_unregister \(\+2\)\n$/);
  expect(await graph('impact', 'vdpa')).toContain('vdpa_sim_net');
  expect(await graph('why', 'vdpa', 'vdpa_sim_net')).not.toContain('needs vdpa_sim_net:');
});

/** The lab's tree through the host's own kernel, read and written by its own programs. */
import { KernelError } from '@vdpalab/abi';
import type { AttributeOps, Node } from '@vdpalab/fs';
import { createLab } from '@vdpalab/lab';
import type { Lab } from '@vdpalab/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Mounted } from './mount.ts';
import { mountLab } from './mount-lab.ts';
import { bash, emptyDirectory, needsFuse, reason, removeDirectory } from './testing/real.ts';

const bugs: string[] = [];
let lab: Lab;
let mounted: Mounted;
let dir: string;

/** A script with the mount as its working directory: `cd` in the child, never in the server. */
async function inside(script: string): Promise<{ stdout: string; stderr: string; status: number }> {
  const outcome = await bash(`cd "$1" && { ${script}\n}`, dir);
  return { ...outcome, stderr: outcome.stderr.replaceAll(/^bash: line \d+: /gm, 'bash: ') };
}

beforeAll(async () => {
  if (reason !== undefined) return;
  lab = await createLab({ clock: 'paced', config: { pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'n3000', sriov: { total: 2 } }] } } });
  dir = emptyDirectory();
  mounted = await mountLab(lab, dir, { onBug: (text) => bugs.push(text) });
});

afterAll(async () => {
  if (reason !== undefined) return;
  await mounted.unmount();
  removeDirectory(dir); // fails when it is still mounted
  const left = [...await lab.close(), ...bugs];
  if (left.length > 0) throw new Error(left.join('\n'));
});

/** An attribute for one test. */
async function attribute(name: string, mode: number, ops: AttributeOps): Promise<Node> {
  return lab.kernel(async () => lab.symbol('kernfs_create_file')(lab.symbol('sysfs_root'), name, mode, ops));
}

async function remove(node: Node): Promise<void> {
  await lab.kernel(async () => lab.symbol('kernfs_remove')(node));
}

describe('reading', () => {
  test('attributes, links and directories are the lab\'s', async (context) => {
    needsFuse(context);
    const { stdout, stderr } = await inside(`
      cat sys/bus/pci/devices/0000:07:00.0/vendor proc/sys/kernel/osrelease
      readlink sys/bus/pci/devices/0000:07:00.0
      stat -c '%F %a %s %h' sys/bus/pci/devices/0000:07:00.0/{vendor,config,.} sys/bus/pci/devices/0000:07:00.0
      ls -U sys/bus/pci`);
    expect(stderr).toBe('');
    const names = await lab.user((p) => p.readdir('/sys/bus/pci'));
    expect(stdout.split('\n')).toEqual([
      '0x1af4', '6.1.0-vdpalab', '../../../devices/pci0000:00/0000:00:01.0/0000:07:00.0',
      'regular file 444 4096 1', 'regular file 644 4096 1', expect.stringMatching(/^directory 755 0 \d+$/), 'symbolic link 777 0 1',
      ...names.map(({ name }) => name), '',
    ]);
  });

  test('show runs again at each read from the start, and not at others', async (context) => {
    needsFuse(context);
    let shows = 0;
    const node = await attribute('counter', 0o444, { show: async () => `${++shows}\n` });
    const { stdout } = await inside(`exec 3<sys/counter; cat <&3; cat <&3; dd bs=1 count=1 status=none <sys/counter; cat sys/counter`);
    expect(stdout).toBe('1\n23\n');
    await remove(node);
  });
});

describe('refusals', () => {
  test('a store\'s errno reaches the shell, with the text of a real kernel', async (context) => {
    needsFuse(context);
    const node = await attribute('picky', 0o644, {
      show: async () => 'x\n',
      store: async (text) => {
        throw new KernelError(text.trim() as 'EBUSY', 'fs.attribute.no-store', 'on purpose');
      },
    });
    const { stdout, stderr } = await inside('for errno in EBUSY EINVAL ENODEV EPERM EEXIST; do echo $errno > sys/picky; echo $?; done');
    expect(stderr).toBe(['Device or resource busy', 'Invalid argument', 'No such device', 'Operation not permitted', 'File exists']
      .map((text) => `bash: echo: write error: ${text}\n`).join(''));
    expect(stdout).toBe('1\n1\n1\n1\n1\n');
    await remove(node);
  });

  test('root is refused what no show or store answers, and names in sysfs', async (context) => {
    needsFuse(context);
    const readOnly = await attribute('read_only', 0o444, { show: async () => 'x\n' });
    const writeOnly = await attribute('write_only', 0o200, { store: async () => {} });
    const { stderr } = await inside(`
      echo 1 > sys/read_only; cat sys/write_only; touch sys/new; mkdir sys/new; rm sys/read_only; ln -s a sys/link; echo > sys/none/x; : < sys/none`);
    expect(stderr.replaceAll(/[\u2018\u2019]/g, "'")).toBe([
      'bash: sys/read_only: Permission denied', 'cat: sys/write_only: Permission denied', "touch: cannot touch 'sys/new': Permission denied",
      "mkdir: cannot create directory 'sys/new': Operation not permitted", "rm: cannot remove 'sys/read_only': Operation not permitted",
      "ln: failed to create symbolic link 'sys/link': Operation not permitted", 'bash: sys/none/x: No such file or directory',
      'bash: sys/none: No such file or directory', '',
    ].join('\n'));
    await remove(readOnly);
    await remove(writeOnly);
  });
});

/** `vhost-user`: a process of the lab that serves vDPA devices to programs of the host. */
import { isKernelError } from '@vdpalab/abi';
import type { Applet } from '@vdpalab/shell';
import { runLine, VdpaApp } from '@vdpalab/vhost-user';

const usage = `usage: vhost-user [-v] create SOCKET DEVICE
       vhost-user list
Serve DEVICE at SOCKET, a path of the host, until killed. DEVICE is a vDPA device that vhost_vdpa drives,
or ADDRESS,vdpa=1 of an IFC VF that vfio-pci has.
  -v  say what front-ends ask
`;

/** The program. */
export const vhostUser: Applet = async (c) => {
  const verbose = c.args[0] === '-v';
  const args = verbose ? c.args.slice(1) : c.args;
  const { lab } = c.system;
  if (args[0] === '-h' || args[0] === '--help') {
    c.out(usage);
    return 0;
  }
  if (lab === undefined || !['create', 'list'].includes(args[0] ?? '')) return await c.fail(`what?\n${usage}`, 2);
  if (!lab.live) return await c.fail('front-ends are served by a lab that is up, not by one that jumps in time');
  try {
    const app = new VdpaApp(lab, c.p, verbose ? { log: (text): void => void process.stderr.write(`${text}\n`) } : {});
    const { text, ok } = await runLine(app, args.join(' '));
    if (!ok) return await c.fail(text.trimEnd());
    c.out(text);
    await c.flush();
    if (args[0] === 'list') app.quit();
    await app.run();
    return 0;
  } catch (error) {
    if (isKernelError(error)) return await c.fail(`${error.message} (${error.errno})`);
    throw error;
  }
};

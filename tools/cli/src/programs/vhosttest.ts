/** `vhosttest DEVICE`: ask a vhost-vdpa device everything its interface has, one line for each answer. */
import type { Applet } from '@vdpalab/shell';
import { vhostTest, type VhostTestProcess } from '@vdpalab/user';

/** The program. */
export const vhosttest: Applet = async (c) => {
  const [device, ...rest] = c.args;
  if (device === undefined || rest.length > 0) {
    await c.err('usage: vhosttest DEVICE\n');
    return 2;
  }
  const host = {
    p: c.p,
    out: (text: string) => c.out(text),
    inChild: async (body: (child: VhostTestProcess) => Promise<void>) => {
      const child = c.system.fork(c.p, c.name);
      c.system.start(child, c.name, async () => {
        try {
          await body(child);
        } finally {
          await c.system.exit(child, 0);
        }
      });
      await c.p.wait4(child.pid);
    },
  };
  return await vhostTest(host, device);
};

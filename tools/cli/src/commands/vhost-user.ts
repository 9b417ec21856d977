/** `vdpalab vhost-user`: vDPA devices of a lab for programs that speak vhost-user. */
import { createInterface } from 'node:readline/promises';
import { createLab, type Lab, type LabConfigInput } from '@vdpalab/lab';
import { Interactive } from '@vdpalab/shell';
import { runLine, VdpaApp } from '@vdpalab/vhost-user';
import { readInput } from '../input-file.ts';
import { programs } from '../programs/index.ts';

/** How devices are served. */
export interface VhostUserOptions {
  readonly lab?: string;
  readonly seed?: number;
  readonly fail?: readonly string[];
  /** Path of shell commands that make the devices. */
  readonly setup?: string;
  readonly verbose?: boolean;
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** The lab there is without a file: a card whose functions are on a switch. */
const config: LabConfigInput = {
  pci: {
    root_ports: [{ at: '00:01.0', bus: 7 }],
    functions: [{ at: '07:00.0', model: 'n3000', link: 'sw0', sriov: { total: 2 }, vfs: { 0: { mac: '52:54:00:00:00:10' }, 1: { mac: '52:54:00:00:00:11' } } }],
  },
  networks: [{ name: 'sw0' }],
};

/** What makes its devices. */
const setup = `modprobe -a vhost_vdpa ifcvf pci_pf_stub
echo pci-pf-stub > /sys/bus/pci/devices/0000:07:00.0/driver_override
echo 0000:07:00.0 > /sys/bus/pci/drivers_probe
echo 2 > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs
vdpa dev add name vdpa0 mgmtdev pci/0000:07:00.2
vdpa dev add name vdpa1 mgmtdev pci/0000:07:00.3
`;

/** What takes them away again. */
const teardown = `vdpa dev del vdpa0
vdpa dev del vdpa1
echo 0 > /sys/bus/pci/devices/0000:07:00.0/sriov_numvfs
`;

/** Run commands in the lab's shell. @returns the status of the first command that failed, 0 when none did */
async function prepare(lab: Lab, text: string, { out, err }: VhostUserOptions): Promise<number> {
  const shell = await Interactive.open(lab, { applets: programs, onOutput: (said, stream) => (stream === 'stdout' ? out(said) : err(said)) });
  let status = 0;
  for (const line of text.split('\n')) {
    status = (await shell.submit(line)) ?? 0;
    if (status !== 0 || shell.exited !== null) {
      err(`${line}: status ${status}\n`);
      break;
    }
  }
  await shell.close();
  return status;
}

/** Lines of a person or a script, until `quit` or the end. */
async function converse(lab: Lab, app: VdpaApp, inTask: <T>(body: () => Promise<T>) => Promise<T>, { input, out, err }: VhostUserOptions): Promise<number> {
  const terminal = input.isTTY === true;
  const lines = createInterface({ input, terminal, ...(terminal ? { output: process.stdout } : {}) });
  lines.setPrompt(terminal ? 'vdpa> ' : '');
  let status = 0;
  lines.prompt();
  for await (const line of lines) {
    const { text, ok, quit } = await inTask(() => runLine(app, line));
    (ok ? out : err)(text);
    status = ok ? 0 : 1;
    if (quit) break;
    lines.prompt();
  }
  lines.close();
  return status;
}

/** Resolves at Ctrl-C or SIGTERM. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

/** Serve until told to end. @param command words of one command; none: read them. @returns the exit status */
export async function serveVhostUser(command: readonly string[], options: VhostUserOptions): Promise<number> {
  const { out, err } = options;
  const lab = await createLab({
    clock: 'paced', ...(options.lab === undefined ? { config } : { file: options.lab }), ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.fail === undefined ? {} : { fail: options.fail }),
  });
  const own = options.setup === undefined && options.lab === undefined;
  let status = await prepare(lab, own ? setup : options.setup === undefined ? '' : readInput(options.setup), options);
  if (status === 0) status = await serve(lab, command, options);
  if (own) await prepare(lab, teardown, options);
  for (const what of await lab.close()) err(`left behind: ${what}\n`);
  return status;

  async function serve(inLab: Lab, words: readonly string[], o: VhostUserOptions): Promise<number> {
    const p = await inLab.process('vhost-user');
    const inTask = <T>(body: () => Promise<T>): Promise<T> => inLab.as(p, body);
    const app = await inTask(async () => new VdpaApp(inLab, p, o.verbose === true ? { log: (line) => err(`${line}\n`) } : {}));
    const events = inLab.start(p, 'vhost-events', () => app.run());
    let result = 0;
    if (words.length === 0) {
      result = await converse(inLab, app, inTask, o);
    } else {
      const said = await inTask(() => runLine(app, words.join(' ')));
      (said.ok ? out : err)(said.text);
      result = said.ok ? 0 : 1;
      if (said.ok && words[0] === 'create') {
        out(`serving ${words[2]} at ${words[1]}\n`);
        await interrupted();
      }
    }
    app.quit();
    await inTask(() => inLab.hw.sched.join(events));
    await inLab.exitProcess(p);
    return result;
  }
}

/** modprobe, insmod, rmmod, lsmod, modinfo and depmod: kmod's tools on the lab's files and loader. */
import { depmodTool, insmod, lsmod, modinfo, modprobe, rmmod, type KmodSystem } from '@vdpalab/kmod';
import { O_CREAT, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errnoText, refusedWith } from '../system.ts';
import { isKernelError } from '@vdpalab/abi';

/** A file's text; `null` when it cannot be read. */
async function readFile(c: Program, path: string): Promise<string | null> {
  try {
    return await c.p.readFile(path);
  } catch (error) {
    if (isKernelError(error)) return null;
    throw error;
  }
}

/** What the tools see: the program's process for files, the kernel for modules. */
function kmodSystem(c: Program, errors: string[]): KmodSystem {
  const { modules } = c.system;
  if (modules === undefined) throw new Error('this shell runs without a module loader');
  return {
    ...modules,
    release: c.system.release,
    env: Object.fromEntries(c.env),
    readFile: (path) => readFile(c, path),
    async readdir(path) {
      try {
        return (await c.p.readdir(path)).map((entry) => entry.name);
      } catch (error) {
        if (isKernelError(error)) return null;
        throw error;
      }
    },
    async exists(path) {
      try {
        return (await c.p.stat(path)).kind === 'file';
      } catch (error) {
        if (refusedWith(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return false;
        throw error;
      }
    },
    async writeFile(path, text) {
      try {
        await c.p.writeFile(path, text, O_WRONLY | O_CREAT | O_TRUNC);
        return 0;
      } catch (error) {
        if (isKernelError(error)) return error.errno;
        throw error;
      }
    },
    async runCommand(command, env) {
      await c.flush();
      return await c.launch.runShell(command, ['sh'], new Map([...c.env, ...Object.entries(env)]));
    },
    strerror: errnoText,
    sleep: (ms) => c.system.symbol('msleep')(ms),
    out: (text) => c.out(text),
    err: (text) => void errors.push(text),
  };
}

/** One of kmod's tools as a program. Output is written in order at the end: out first, as pipes show it. */
const tool = (run: (argv: readonly string[], sys: KmodSystem) => Promise<number>): Applet => async (c) => {
  const errors: string[] = [];
  const status = await run(c.args, kmodSystem(c, errors));
  await c.flush();
  for (const text of errors) await c.err(text);
  return status;
};

/** The tools by name. */
export const kmodCommands: readonly (readonly [string, Applet])[] = [
  ['modprobe', tool(modprobe)], ['insmod', tool(insmod)], ['rmmod', tool(rmmod)], ['lsmod', tool(lsmod)], ['modinfo', tool(modinfo)],
  ['depmod', tool(depmodTool)],
];

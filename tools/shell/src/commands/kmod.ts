/** insmod, rmmod, lsmod, modprobe, modinfo and depmod on the lab. */
import { isKernelError } from '@vdpalab/abi';
import { depmodTool, insmod, kmodTool, lsmod, modinfo, modprobe, rmmod, type KmodSystem } from '@vdpalab/kmod';
import type { Applet, Program } from '../program.ts';
import { readBytes } from '../streams.ts';
import { errnoText } from '../system.ts';

type Tool = (argv: readonly string[], sys: KmodSystem) => Promise<number>;

/** A tool of kmod as a program of the lab. */
function tool(run: Tool): Applet {
  return async (c) => {
    const { modules } = c.system;
    if (modules === undefined) return c.fail('this kernel has no module loader');
    const complaints: string[] = [];
    const settle = async (): Promise<void> => {
      if (complaints.length > 0) await c.err(complaints.splice(0).join(''));
    };
    const status = await run(c.args, kmodSystem(c, modules, complaints, settle));
    await c.flush();
    await settle();
    return status;
  };
}

/** What kmod's tools see: the program's process for files, the kernel for modules. @param settle writes what was put out so far */
export function kmodSystem(c: Program, modules: NonNullable<Program['system']['modules']>, complaints: string[], settle: () => Promise<void>): KmodSystem {
  const quiet = async <T>(call: () => Promise<T>): Promise<T | null> => {
    try {
      return await call();
    } catch (error) {
      if (isKernelError(error)) return null;
      throw error;
    }
  };
  return {
    release: c.system.release,
    env: Object.fromEntries(c.env),
    readFile: (path) => quiet(() => c.read(path)),
    readBytes: (path) => quiet(async () => {
      const fd = await c.p.open(path);
      try {
        return await readBytes(c.p, fd);
      } finally {
        await c.p.close(fd);
      }
    }),
    readdir: (path) => quiet(async () => (await c.p.readdir(path)).map((entry) => entry.name)),
    exists: async (path) => (await quiet(() => c.p.stat(path)))?.kind === 'file',
    mtime: (path) => quiet(async () => (await c.p.stat(path)).mtime),
    writeFile: async (path, contents) => {
      try {
        await c.p.writeFile(path, contents);
        return 0;
      } catch (error) {
        if (isKernelError(error)) return error.errno;
        throw error;
      }
    },
    loaded: modules.loaded,
    insert: (...load) => modules.insert(c.p, ...load),
    remove: (...unload) => modules.remove(c.p, ...unload),
    runCommand: async (command, env) => {
      await settle(); // standard output is buffered until the tool ends: the command's comes first
      return c.launch.runShell(command, ['sh'], { env: new Map([...c.env, ...Object.entries(env)]) });
    },
    strerror: errnoText,
    flush: () => c.flush(),
    sleep: async (ms) => void (await c.p.poll([], ms * 1e6)),
    out: (text) => c.out(text),
    err: (text) => void complaints.push(text),
  };
}

const tools: Readonly<Record<string, Tool>> = { insmod, rmmod, lsmod, modprobe, modinfo, depmod: depmodTool, kmod: kmodTool };

/** The tools by name. */
export const kmodCommands: readonly (readonly [string, Applet])[] = Object.entries(tools).map(([name, run]) => [name, tool(run)] as const);

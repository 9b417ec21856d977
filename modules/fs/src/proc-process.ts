/** /proc/PID. Mirrors `fs/proc/{base,array,fd}.c` (Linux 6.1), as far as shells and leak hunters read it. */
import type { Task } from '@vdpalab/abi';
import type { File, Process } from './header.ts';
import type { NodeMaker } from './kernfs.ts';
import { procContent } from './proc-file.ts';
import type { ProcessImpl } from './process.ts';
import { attach, detach, TreeNode } from './tree.ts';
import type { DirTreeNode } from './tree.ts';

/** What the files of a process need to know. */
export interface ProcessFacts {
  readonly tasksOf: (proc: Process) => readonly Task[];
  readonly isNapping: (task: Task) => boolean;
}

/** State letter: running or runnable, asleep, or in an uninterruptible sleep. */
export function stateLetter(tasks: readonly Task[], isNapping: (task: Task) => boolean): 'R' | 'S' | 'D' {
  if (tasks.some((task) => task.state !== 'parked')) return 'R';
  return tasks.some((task) => !isNapping(task)) ? 'D' : 'S';
}

/** Path of an open file, with Linux's mark once the name is gone; a name of sysfs keeps its own until it is looked up again. @see `d_path` */
function shownPath({ path, node }: File): string {
  const gone = node instanceof TreeNode && node.removed && (node.flavour === 'devtmpfs' || node.flavour === 'ramfs');
  return gone ? `${path} (deleted)` : path;
}

/** Makes and removes /proc/PID as processes come and go. */
export function createProcessDirs(procRoot: DirTreeNode, make: NodeMaker, facts: ProcessFacts) {
  const dirs = new Map<ProcessImpl, DirTreeNode>();
  const stateName = { R: 'running', S: 'sleeping', D: 'disk sleep', Z: 'zombie' } as const;

  function state(proc: ProcessImpl): 'R' | 'S' | 'D' | 'Z' {
    return proc.exitStatus !== null ? 'Z' : stateLetter(facts.tasksOf(proc), facts.isNapping);
  }

  function stat(proc: ProcessImpl): string {
    const zeros = Array.from({ length: 47 }, () => '0').join(' ');
    return `${proc.pid} (${proc.comm.slice(0, 15)}) ${state(proc)} ${proc.parent?.pid ?? 0} ${proc.pgid} ${zeros}\n`;
  }

  function status(proc: ProcessImpl): string {
    const { uid, gid, caps } = proc.cred;
    const letter = state(proc);
    const mask = [...caps].reduce((sum, cap) => sum | (1n << BigInt(cap)), 0n).toString(16).padStart(16, '0');
    const four = (id: number): string => Array.from({ length: 4 }, () => id).join('\t');
    const set = (signals: Iterable<number>): string => [...signals].reduce((sum, signal) => sum | (1n << BigInt(signal - 1)), 0n).toString(16).padStart(16, '0');
    const doing = (action: string): number[] => [...proc.actions].filter(([, what]) => what === action).map(([signal]) => signal);
    return `Name:\t${proc.comm.slice(0, 15)}\nUmask:\t0022\nState:\t${letter} (${stateName[letter]})\nTgid:\t${proc.pid}\nNgid:\t0\nPid:\t${proc.pid}\n`
      + `PPid:\t${proc.parent?.pid ?? 0}\nTracerPid:\t0\n`
      + `Uid:\t${four(uid)}\nGid:\t${four(gid)}\nFDSize:\t64\nThreads:\t1\n`
      + `ShdPnd:\t${set(proc.pending)}\nSigBlk:\t${set([])}\nSigIgn:\t${set(doing('ignore'))}\nSigCgt:\t${set(doing('catch'))}\nCapPrm:\t${mask}\nCapEff:\t${mask}\n`;
  }

  function wchan(proc: ProcessImpl): string {
    return facts.tasksOf(proc).find((task) => task.wait !== null)?.wait?.wchan ?? '0';
  }

  function fdDir(proc: ProcessImpl): DirTreeNode {
    const dir = make.dir('fd', 0o500, 'proc', proc.cred);
    dir.dynamic = {
      list: () => [...proc.files.keys()].map(String),
      get: (name) => {
        const file = /^(0|[1-9]\d*)$/.test(name) ? proc.files.get(Number(name)) : undefined;
        if (file === undefined) return null;
        const link = make.link(name, 'proc', shownPath(file));
        link.parent = dir;
        return link;
      },
    };
    return dir;
  }

  return {
    born: (proc: ProcessImpl): void => {
      const dir = make.dir(`${proc.pid}`, 0o555, 'proc', proc.cred);
      const file = (name: string, mode: number, show: () => string): void =>
        attach(dir, make.file(name, mode, 'proc', procContent(show), proc.cred));
      attach(procRoot, dir);
      dirs.set(proc, dir);
      file('stat', 0o444, () => stat(proc));
      file('status', 0o444, () => status(proc));
      file('wchan', 0o444, () => wchan(proc));
      file('cmdline', 0o444, () => (proc.exitStatus !== null ? '' : proc.argv.map((arg) => `${arg}\0`).join('')));
      attach(dir, make.file('comm', 0o644, 'proc', procContent(() => `${proc.comm.slice(0, 15)}\n`, async (text) => {
        proc.comm = text.replace(/\n$/, '').slice(0, 15);
      }), proc.cred));
      attach(dir, make.link('cwd', 'proc', () => proc.cwd, proc.cred));
      attach(dir, fdDir(proc));
    },
    gone: (proc: ProcessImpl): void => {
      const dir = dirs.get(proc);
      if (dir !== undefined) detach(dir);
      dirs.delete(proc);
    },
  };
}

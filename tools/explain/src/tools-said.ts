/**
 * What tools refuse by themselves, before they ask the kernel: told by what they print, so that a message of a real
 * system can be looked up as well.
 */
import { listed, nearest } from './remedies/near.ts';
import { removalOrder } from './remedies/modules.ts';
import type { LabView } from './view.ts';

/** One rule of a tool. */
export interface ToolRule {
  readonly id: string;
  /** What it prints; groups are what the remedy needs. */
  readonly pattern: RegExp;
  /** A line as a real system prints it. */
  readonly example: string;
  readonly says: string;
  readonly remedy: string;
  /** The same for a lab as it is now. */
  readonly exact?: (groups: readonly string[], view: LabView) => string | null;
  /** Program and file. */
  readonly source: string;
}

const loadedNames = (view: LabView): string[] => view.modules().map((m) => m.name);

/** Every rule of a tool. */
export const toolRules: readonly ToolRule[] = [
  {
    id: 'kmod.rmmod.users', pattern: /^rmmod: ERROR: Module (\S+) is in use by: (.*)$/, example: 'rmmod: ERROR: Module vdpa is in use by: vdpa_sim vdpa_sim_net',
    says: 'rmmod does not ask the kernel while /sys/module/M/holders has a name.', remedy: 'Remove the users first: `modprobe -r` on the last of them takes the rest along.',
    exact: ([name = ''], view) => (view.modules().some((m) => m.name === name) ? `rmmod ${removalOrder(name, view.modules()).join(' ')}` : null), source: 'kmod tools/rmmod.c check_module_inuse',
  },
  {
    id: 'kmod.rmmod.refs', pattern: /^rmmod: ERROR: Module (\S+) is in use$/, example: 'rmmod: ERROR: Module vhost_vdpa is in use',
    says: 'rmmod does not ask the kernel while the reference count is above 0.', remedy: 'Unbind its devices and close its files first.',
    exact: ([name = ''], view) => {
      const bound = view.devices().filter((d) => d.driver?.replaceAll('-', '_') === name).map((d) => `echo ${d.name} > /sys/bus/${d.bus}/drivers/${d.driver ?? ''}/unbind`);
      const open = view.openers(`/dev/${name.replaceAll('_', '-')}`).map((o) => `close ${o.path}, which ${o.comm}[${o.pid}] has open`);
      return bound.length + open.length === 0 ? null : [...open, ...bound, `rmmod ${name}`].join(' ; ');
    }, source: 'kmod tools/rmmod.c check_module_inuse',
  },
  {
    id: 'kmod.rmmod.absent', pattern: /^rmmod: ERROR: Module (\S+) is not currently loaded$/, example: 'rmmod: ERROR: Module foo is not currently loaded',
    says: 'rmmod removes loaded modules only.', remedy: 'Name a module that `lsmod` lists.',
    exact: ([name = ''], view) => {
      const meant = nearest(name, loadedNames(view));
      return meant === null ? `name one of ${listed(loadedNames(view), 'the loaded modules: there is none')}` : `rmmod ${meant}`;
    }, source: 'kmod tools/rmmod.c check_module_inuse',
  },
  {
    id: 'kmod.rmmod.builtin', pattern: /^rmmod: ERROR: Module (\S+) is builtin\.?$/, example: 'rmmod: ERROR: Module pci is builtin.',
    says: 'A module of the kernel image stays.', remedy: 'Leave it.', source: 'kmod tools/rmmod.c check_module_inuse',
  },
  {
    id: 'kmod.modprobe.absent', pattern: /^modprobe: FATAL: Module (\S+) not found(?: in directory \S+|\.)/, example: 'modprobe: FATAL: Module no_such_module not found in directory /lib/modules/6.1.0-56-amd64',
    says: 'modprobe knows names and aliases of the module tree, and no paths.', remedy: 'Name a module of /lib/modules; `depmod` after adding one.',
    exact: ([name = ''], view) => {
      const meant = nearest(name.replaceAll('-', '_'), view.tree());
      return meant === null ? `name one of ${listed(view.tree(), 'the tree: it is empty')}` : `modprobe ${meant}`;
    }, source: 'kmod tools/modprobe.c insmod_insert',
  },
  {
    id: 'kmod.modprobe.users', pattern: /^modprobe: FATAL: Module (\S+) is in use\.$/, example: 'modprobe: FATAL: Module vdpa is in use.',
    says: 'modprobe -r removes a module and what only it needed, and no users of it.', remedy: 'Remove the users first.',
    exact: ([name = ''], view) => {
      const order = removalOrder(name, view.modules());
      return order.length > 1 ? `modprobe -r ${order.slice(0, -1).join(' ')} ${name}` : null;
    }, source: 'kmod tools/modprobe.c rmmod_do_module',
  },
  {
    id: 'kmod.modprobe.builtin', pattern: /^modprobe: FATAL: Module (\S+) is builtin\.$/, example: 'modprobe: FATAL: Module pci is builtin.',
    says: 'A module of the kernel image stays.', remedy: 'Leave it.', source: 'kmod tools/modprobe.c rmmod_do_module',
  },
  {
    id: 'kmod.modprobe.first-time', pattern: /^modprobe: FATAL: Module (\S+) already in kernel\.$/, example: 'modprobe: FATAL: Module vdpa already in kernel.',
    says: '--first-time makes a module that is loaded an error.', remedy: 'Leave --first-time away.', source: 'kmod tools/modprobe.c insmod_insert',
  },
  {
    id: 'kmod.modprobe.not-in-kernel', pattern: /^modprobe: FATAL: Module (\S+) is not in kernel\.$/, example: 'modprobe: FATAL: Module foo is not in kernel.',
    says: '--first-time makes removing what is not loaded an error.', remedy: 'Leave --first-time away.', source: 'kmod tools/modprobe.c rmmod_do_module',
  },
  {
    id: 'kmod.insmod.file', pattern: /^insmod: ERROR: could not load module (\S+): No such file or directory$/, example: 'insmod: ERROR: could not load module vdpa: No such file or directory',
    says: 'insmod takes the path of a file, not a name.', remedy: 'Use modprobe for names.',
    exact: ([name = ''], view) => (view.tree().includes(name.replaceAll('-', '_')) ? `modprobe ${name}` : null), source: 'kmod tools/insmod.c do_insmod',
  },
  {
    id: 'kmod.modinfo.absent', pattern: /^modinfo: ERROR: Module (?:name )?(\S+) not found\.$/, example: 'modinfo: ERROR: Module foo not found.',
    says: 'modinfo knows names and aliases of the module tree, and paths.', remedy: 'Name a module of /lib/modules.',
    exact: ([name = ''], view) => {
      const meant = nearest(name.replaceAll('-', '_'), view.tree());
      return meant === null ? null : `modinfo ${meant}`;
    }, source: 'kmod tools/modinfo.c modinfo_alias_do',
  },
  {
    id: 'vdpa.tool.family', pattern: /^Failed to connect to vdpa Netlink$/, example: 'Failed to connect to vdpa Netlink',
    says: 'The vdpa tool looks for the generic netlink family `vdpa` before anything else, and there is none.', remedy: 'modprobe vdpa', source: 'iproute2 vdpa/vdpa.c main',
  },
  {
    id: 'vdpa.tool.mgmtdev', pattern: /^management device handle not set\.$/, example: 'management device handle not set.',
    says: '`vdpa dev add` needs a management device.', remedy: 'Add `mgmtdev HANDLE`; `vdpa mgmtdev show` lists handles.',
    exact: (_groups, view) => {
      const [manager] = view.managers();
      return manager === undefined ? null : `vdpa dev add name NAME mgmtdev ${manager}`;
    }, source: 'iproute2 vdpa/vdpa.c vdpa_args_finding_required_validate',
  },
  {
    id: 'vdpa.tool.name', pattern: /^device name is not set\.$/, example: 'device name is not set.',
    says: '`vdpa dev add` needs a name.', remedy: 'Add `name NAME`.', source: 'iproute2 vdpa/vdpa.c vdpa_args_finding_required_validate',
  },
  {
    id: 'vdpa.tool.word', pattern: /^(?:Object|Command) "(.*)" not found$/, example: 'Object "foo" not found',
    says: 'The vdpa tool has two objects, mgmtdev and dev, with their commands.', remedy: '`vdpa help`, `vdpa dev help`.', source: 'iproute2 vdpa/vdpa.c vdpa_cmd',
  },
  {
    id: 'vdpa.tool.handle', pattern: /^String parameter expected$/, example: 'String parameter expected',
    says: 'The command needs the name of a device.', remedy: 'Name one that `vdpa dev show` lists.',
    exact: (_groups, view) => `name one of ${listed(view.devices('vdpa').map((d) => d.name), 'the devices: there is none yet')}`, source: 'iproute2 vdpa/vdpa.c vdpa_argv_parse',
  },
  {
    id: 'shell.command', pattern: /(\S+): command not found$/, example: 'bash: foo: command not found',
    says: 'No program of the lab has that name.', remedy: 'docs/reference/commands.md lists the programs.', source: 'bash execute_cmd.c',
  },
];

/** A tool's rule that a line of its output tells, with what stands in the line. */
export interface ToolSaid {
  readonly rule: ToolRule;
  readonly line: string;
  readonly groups: readonly string[];
}

/** What tools said by themselves in an output, in order. */
export function toolsSaid(output: string): ToolSaid[] {
  return output.split('\n').flatMap((line) => {
    for (const rule of toolRules) {
      const match = rule.pattern.exec(line);
      if (match !== null) return [{ rule, line, groups: match.slice(1) }];
    }
    return [];
  });
}

/** What a tool said, explained as lines. @param view the lab; `null` for the table's remedy */
export function toolLines({ rule, line, groups }: ToolSaid, view: LabView | null): string[] {
  const field = (name: string, text: string): string => `  ${name.padEnd(10)}${text}`;
  const exact = view === null ? null : rule.exact?.(groups, view) ?? null;
  return [line, field('rule', `${rule.id}: ${rule.says}`), field('instead', exact ?? rule.remedy), field('source', rule.source)];
}

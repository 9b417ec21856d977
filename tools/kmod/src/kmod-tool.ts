/** `kmod(8)` of kmod 30: what is loaded, and the device nodes that modules bring. */
import { getopt } from './getopt.ts';
import { KMOD_HELP, STATIC_NODES_HELP, VERSION_TEXT } from './help.ts';
import { Messages } from './messages.ts';
import { lsmod } from './small-tools.ts';
import { modulesDir } from './system.ts';
import type { KmodSystem } from './system.ts';

/** Run kmod. @param argv without the program's name. @returns exit status */
export async function kmodTool(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const log = new Messages('kmod', sys);
  const command = argv.findIndex((word) => !word.startsWith('-'));
  const { options, error } = getopt(command < 0 ? argv : argv.slice(0, command), { short: 'hV', long: { help: 'h', version: 'V' } });
  const asked = options[0]?.name;
  if (asked !== undefined) {
    sys.out(asked === 'h' ? KMOD_HELP : VERSION_TEXT);
    return 0;
  }
  if (error !== null) {
    log.usage(error);
    return 1;
  }
  const [name, ...rest] = command < 0 ? [] : argv.slice(command);
  switch (name) {
    case 'list': return lsmod(rest, sys, 'list');
    case 'static-nodes': return staticNodes(rest, sys);
    case 'help':
      sys.out(KMOD_HELP.replace('\tkmod [options]', '\thelp [options]'));
      return 0;
    default:
      sys.err(name === undefined ? 'missing command\n' : `invalid command '${name}'\n`);
      sys.out(KMOD_HELP);
      return 1;
  }
}

interface StaticNode {
  readonly module: string;
  /** Below /dev. */
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: string;
  readonly minor: string;
}

const FORMATS: Readonly<Record<string, (node: StaticNode) => string>> = {
  human: ({ module, path, type, major, minor }) => `Module: ${module}\n\tDevice node: /dev/${path}\n\t\tType: ${type === 'c' ? 'character' : 'block'} device\n\t\tMajor: ${major}\n\t\tMinor: ${minor}\n`,
  tmpfiles: ({ path, type, major, minor }) => {
    const slash = path.lastIndexOf('/');
    return `${slash < 0 ? '' : `d /dev/${path.slice(0, slash)} 0755 - - -\n`}${type}! /dev/${path} 0600 - - - ${major}:${minor}\n`;
  },
  devname: ({ module, path, type, major, minor }) => `${module} ${path} ${type}${major}:${minor}\n`,
};

async function staticNodes(argv: readonly string[], sys: KmodSystem): Promise<number> {
  const { options, error } = getopt(argv, { short: 'o:f:h', long: { output: 'o:', format: 'f:', help: 'h' } });
  let format = 'human';
  let output: string | null = null;
  for (const { name, value } of options) {
    if (name === 'h') {
      sys.out(STATIC_NODES_HELP);
      return 0;
    }
    if (name === 'o') output = value;
    else format = value ?? '';
    if (FORMATS[format] !== undefined) continue;
    sys.err(`Unknown format: '${format}'.\n`);
    sys.out(STATIC_NODES_HELP);
    return 1;
  }
  if (error !== null) {
    sys.err(`static-nodes: ${error}\n`);
    return 1;
  }
  const file = `${modulesDir(sys.release)}/modules.devname`;
  const text = await sys.readFile(file);
  if (text === null) {
    sys.err(`Warning: ${file} not found - ignoring\n`);
    return 0;
  }
  const nodes = text.split('\n').flatMap((line): StaticNode[] => {
    const m = /^([^# ]\S*) (\S+) ([cb])(\d+):(\d+)$/.exec(line);
    const [, module, path, type, major, minor] = (m ?? []) as unknown as [string, string, string, 'c' | 'b', string, string]; // all groups match, or none is used
    return m === null ? [] : [{ module, path, type, major, minor }];
  });
  const listed = nodes.map(FORMATS[format] as (node: StaticNode) => string).join(''); // checked above
  if (output === null) sys.out(listed);
  else await sys.writeFile?.(output, listed);
  return 0;
}

import { describe, expect, it } from 'vitest';
import { vdpalab } from './program.ts';

/** Options and arguments as a command gets them, without running it. */
function parsed(command: string, ...args: string[]): { readonly args: readonly string[]; readonly options: Record<string, unknown> } {
  const nothing = (): undefined => undefined;
  const program = vdpalab({ out: nothing, err: nothing, input: process.stdin, exit: nothing });
  const found = program.commands.find((c) => c.name() === command);
  if (found === undefined) throw new Error(`no command ${command}`);
  found.exitOverride().configureOutput({ writeErr: nothing });
  const { operands, unknown } = found.parseOptions(args);
  return { args: [...operands, ...unknown], options: found.opts() };
}

describe('--fail', () => {
  it('takes one rule, so that a file may stand behind it, and may be repeated', () => {
    expect(parsed('run', '--fail', 'ifcvf:probe:3=ENOMEM', 'scenario.txt')).toEqual({ args: ['scenario.txt'], options: { fail: ['ifcvf:probe:3=ENOMEM'] } });
    expect(parsed('record', '--fail', 'vdpa:alloc:2', '--fail', 'vdpa:init', 'x.txt')).toMatchObject({ args: ['x.txt'], options: { fail: ['vdpa:alloc:2', 'vdpa:init'] } });
    expect(parsed('run', 'scenario.txt').options).toEqual({});
  });
});

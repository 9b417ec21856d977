/**
 * The real `vdpa`, `devlink` and `ip` of iproute2 6.1 beside the lab's own. Both speak to a lab's kernel: the real ones through netlink sockets
 * that are taken over, each to a kernel of its own, so that both kernels see the same calls.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CommandResult } from '../session.ts';
import { devlinkLab, linkLab, vdpaLab } from '../testing/iproute-labs.ts';
import { RealIproute, whyNoIproute } from '../testing/real-iproute.ts';
import type { TestShell } from '../testing/shell-kernel.ts';

const missing = whyNoIproute();

test.runIf(missing === null || process.env['VDPALAB_REQUIRE_REAL'] === '1')('iproute2 6.1 is there to compare with', () => {
  expect(missing).toBeNull();
});

/** Lines of a file of cases. */
function casesOf(name: string): string[] {
  const text = readFileSync(new URL(`../../testdata/${name}`, import.meta.url), 'utf8');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/** The words a command line has. */
async function words({ sh }: TestShell, line: string): Promise<[string, ...string[]]> {
  const { stdout } = await sh(`printf '%s\\n' ${line}`);
  return stdout.split('\n').slice(0, -1) as [string, ...string[]]; // every case names a program
}

describe.runIf(missing === null).each([['vdpa.cases', vdpaLab], ['devlink.cases', devlinkLab], ['ip.cases', linkLab]] as const)('like the real program: %s', (file, boot) => {
  let own: TestShell;
  let real: RealIproute;

  beforeAll(async () => {
    own = await boot();
    real = await RealIproute.open(await boot());
  }, 60_000);
  afterAll(() => real.close());

  test('prints the same and ends the same, call by call', async () => {
    const different: { line: string; wanted: CommandResult; got: CommandResult }[] = [];
    for (const line of casesOf(file)) {
      const [program, ...args] = await words(own, line);
      const wanted = await real.run(program, args);
      const got = { ...(await own.sh(line)) };
      got.stderr = got.stderr.replace(/^bash: +\d+ Aborted .*\n/m, ''); // bash's word, not the program's
      if (JSON.stringify(got) !== JSON.stringify(wanted)) different.push({ line, wanted, got });
    }
    expect(different).toEqual([]);
  }, 120_000);
});

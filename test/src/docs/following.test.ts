/** The guide that leads through the code: what it names is where it says, and its trace is what comes of its scenario. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordScript, runTranscript } from '@vdpalab/cli';
import { afterAll, expect, test } from 'vitest';
import { root } from '../conformance/workspace.ts';

const folder = mkdtempSync(join(tmpdir(), 'following-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const guide = readFileSync(join(root, 'docs/guides/following-a-packet.md'), 'utf8');

/** Rows of the tables that name a file: file, functions. */
const places = [...guide.matchAll(/^\| \[(\S+)\]\(\.\.\/\.\.\/(\S+)\) \| (.+?) \| .+ \|$/gm)].map(([, shown = '', file = '', names = '']) => ({
  shown, file, functions: [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
}));

/** Whether a source declares a function, a method or a property that holds one. */
function declares(source: string, name: string): boolean {
  return new RegExp(`^ *((async|export|override|private|protected) )*#?${name}(<[^>]*>)?\\(.*\\{$|\\b(function|const) ${name}\\b|(^|[{,]) *(readonly )?${name}(: |\\b = )(async )?(\\(|<|\\w+ =>|files\\.)`, 'm').test(source);
}

test('the guide names many places', () => {
  expect(places.length).toBeGreaterThan(40);
  expect(places.filter(({ shown, file }) => shown !== file)).toEqual([]);
});

test('a name that is only called does not count as declared', () => {
  expect(declares('  this.ring.add(a, b);\n  vq.notify(vq);\n', 'add')).toBe(false);
  expect(declares('  if (add(a)) {\n', 'add')).toBe(false);
  expect(declares('  #callVq(qid: number): Atomic {\n', 'callVq')).toBe(true);
  expect(declares('  readonly write16 = (offset: number): undefined => 1;\n', 'write16')).toBe(true);
});

test.each(places)('$file has $functions', ({ file, functions }) => {
  expect(existsSync(join(root, file))).toBe(true);
  const source = readFileSync(join(root, file), 'utf8');
  expect(functions.length).toBeGreaterThan(0);
  expect(functions.filter((name) => !declares(source, name))).toEqual([]);
});

test('an interrupt of the receiver is traced back to the kick of the sender, event by event', { timeout: 60_000 }, async () => {
  const [script = ''] = /(?<=```\n)# packet\.txt\n[\s\S]*?(?=```)/.exec(guide) ?? [];
  writeFileSync(join(folder, 'packet.txt'), script.replace('# lab: ', `# lab: ${root}/`));
  let recorded = '';
  expect(await recordScript(join(folder, 'packet.txt'), { out: (text) => void (recorded += text) })).toEqual([]);
  expect(recorded).not.toMatch(/^exit: [^0]/m);
  expect(recorded).toContain('80 frames equal');

  writeFileSync(join(folder, 'recorded.txt'), recorded);
  const trace = join(folder, 'packet.jsonl');
  const { commands, equal } = await runTranscript(join(folder, 'recorded.txt'), { trace, out: () => undefined, err: () => undefined });
  expect(equal).toBe(commands);

  const events = readFileSync(trace, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { id: number; cause: number; type: string; fields: Record<string, unknown> });
  const chain = [];
  for (let at = events.find((e) => e.type === 'irq_handler' && e.fields['name'] === 'ifcvf[0000:07:00.3]-0'); at !== undefined; at = events.find((e) => e.id === at?.cause)) chain.push(at);
  const told = [...guide.matchAll(/^\| `(\w+)` \| /gm)].map(([, event]) => event);
  expect(chain.map((e) => e.type)).toEqual(told);
  expect(chain.at(-1)?.fields).toEqual({ device: '07:00.2', queue: 1 });
});

/** docs/reference/errors.md: the table of refusals, with the errnos that the sources give and the test that reaches each. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolRules } from '../tools-said.ts';
import { ruleParts, type RulePart } from '../table.ts';
import type { Rule } from '../rule.ts';
import { bestReach, type Reach, type RuleRecord } from './record.ts';
import { scanWorkspace, type RuleSite } from './scan.ts';

/** Where the page is, relative to the root of the workspace. */
export const ERRORS_PAGE = 'docs/reference/errors.md';

/** What the page is made of. */
export interface ErrorsPage {
  readonly parts: readonly RulePart[];
  readonly sites: readonly RuleSite[];
  /** Rule -> the test that reaches it. */
  readonly reach: ReadonlyMap<string, Reach>;
}

const TOOL_HEAD = ['rule', 'message', 'what it says', 'what would have worked', 'source'];
const HEAD = ['rule', 'errno', 'what it says', 'what would have worked', 'Linux 6.1', 'reached by'];

/** Render the page. */
export function renderErrors({ parts, sites, reach }: ErrorsPage): string {
  const errnos = errnosByRule(sites);
  const rules = parts.flatMap((part) => part.rules);
  const entered = new Set(rules.map((rule) => rule.id));
  const bare = [...errnos.keys()].filter((id) => !entered.has(id)).sort();
  const unreached = rules.map((rule) => rule.id).filter((id) => errnos.has(id) && !reach.has(id));
  const out = [
    '# Errors',
    '',
    'Every rule by which the kernel of a lab can refuse a call. Written by `npm run docs` from the table in [tools/explain](../../tools/explain) and the sources; `npm run errors` takes the tests from the last full test run.',
    '`vdpalab explain RULE` prints an entry, `explain` in the lab\'s shell what refused the last command: [why was it refused](../guides/why-was-it-refused.md).',
  ];
  for (const { title, rules: list } of parts) {
    out.push('', `## ${title}`, '', row(HEAD), `|${'---|'.repeat(HEAD.length)}`);
    for (const rule of list) out.push(row(cells(rule, errnos.get(rule.id) ?? [], reach.get(rule.id))));
  }
  out.push('', '## What tools refuse by themselves', '', 'These never reach the kernel; `explain` knows them by what they print.', '', row(TOOL_HEAD), `|${'---|'.repeat(TOOL_HEAD.length)}`);
  for (const rule of toolRules) out.push(row([`\`${rule.id}\``, `\`${rule.example}\``, rule.says, rule.remedy, rule.source]));
  if (unreached.length > 0) out.push('', '## Reached by no test', '', ...unreached.map((id) => `- \`${id}\``));
  if (bare.length > 0) out.push('', '## Without an entry yet', '', ...bare.map((id) => `- \`${id}\``));
  return `${out.join('\n')}\n`;
}

function cells(rule: Rule, errnos: readonly string[], reach: Reach | undefined): string[] {
  return [
    `\`${rule.id}\``, errnos.length === 0 ? 'as given' : errnos.join(', '), rule.says, rule.remedy, rule.linux === '-' ? '-' : `\`${rule.linux}\``,
    reach === undefined ? 'no test' : `\`${reach.file}\`: ${reach.test}`,
  ];
}

const row = (texts: readonly string[]): string => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;

function errnosByRule(sites: readonly RuleSite[]): Map<string, readonly string[]> {
  const errnos = new Map<string, Set<string>>();
  for (const site of sites) {
    const known = errnos.get(site.rule) ?? new Set();
    for (const errno of site.errnos) known.add(errno);
    errnos.set(site.rule, known);
  }
  return new Map([...errnos].map(([rule, known]) => [rule, [...known].sort()]));
}

/** An entry as the page has it. */
export interface PageEntry {
  readonly errnos: string;
  readonly reach: Reach | null;
}

/** Read errnos and tests off a page. */
export function parseErrors(page: string): Map<string, PageEntry> {
  const entries = new Map<string, PageEntry>();
  for (const line of page.split('\n')) {
    const texts = /^\| (`.*) \|$/.exec(line)?.[1]?.split(/(?<!\\) \| /);
    if (texts?.length !== HEAD.length) continue;
    const [id = '', errnos = '', , , , reached = ''] = texts.map((text) => text.replaceAll('\\|', '|'));
    const [, file, test] = /^`(.*?)`: (.*)$/.exec(reached) ?? [];
    entries.set(id.slice(1, -1), { errnos, reach: file === undefined || test === undefined ? null : { file, test } });
  }
  return entries;
}

/**
 * The page as it should be now: table and errnos from the sources, tests from a record where one is given and from the
 * page itself where none is. Tests whose file is gone are dropped.
 */
export function errorsPage(root: string, record?: RuleRecord): string {
  const { sites } = scanWorkspace(root);
  const file = join(root, ERRORS_PAGE);
  const before = existsSync(file) ? parseErrors(readFileSync(file, 'utf8')) : new Map<string, PageEntry>();
  const reach = new Map<string, Reach>();
  for (const [id, entry] of before) if (entry.reach !== null && existsSync(join(root, entry.reach.file))) reach.set(id, entry.reach);
  const homes = new Map<string, string[]>();
  for (const site of sites) homes.set(site.rule, [...(homes.get(site.rule) ?? []), site.file.split('/').slice(0, 2).join('/')]);
  for (const [id, found] of record === undefined ? [] : bestReach(record, homes)) reach.set(id, found);
  for (const [id, found] of namedInTests(root, sites.filter((site) => site.file.startsWith('tools/vring/')).map((site) => site.rule))) {
    if (!reach.has(id)) reach.set(id, found);
  }
  return renderErrors({ parts: ruleParts, sites, reach });
}

/** Tests that compare a rule of rings by its name: rings refuse by numbers, and no error is made that could be recorded. */
function namedInTests(root: string, ids: readonly string[]): Map<string, Reach> {
  const found = new Map<string, Reach>();
  for (const dir of ['tools/vring/src', 'tools/machine/src/n3000']) {
    for (const name of readdirSync(join(root, dir)).filter((n) => n.endsWith('.test.ts')).sort()) {
      let test = '';
      for (const line of readFileSync(join(root, dir, name), 'utf8').split('\n')) {
        test = /^\s*(?:it|test)(?:\.\w+)?\('(.*?)',/.exec(line)?.[1] ?? test;
        for (const id of ids) if (line.includes(`'${id}'`) && !found.has(id)) found.set(id, { file: `${dir}/${name}`, test });
      }
    }
  }
  return found;
}

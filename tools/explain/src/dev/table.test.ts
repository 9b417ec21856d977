/** The table has every rule of the sources, and no other. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ruleParts } from '../table.ts';
import { scanWorkspace } from './scan.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const scan = scanWorkspace(root);
const rules = ruleParts.flatMap((part) => part.rules);

test('every refusal of the sources says its rule where it is made', () => {
  expect(scan.unresolved).toEqual([]);
});

test('every rule of the sources has an entry: add missing ones to tools/explain/src/rules', () => {
  const known = new Set(rules.map((rule) => rule.id));
  const missing = scan.sites.filter((site) => !known.has(site.rule));
  expect(missing.map((site) => `${site.rule} (${site.errnos.join(', ')}) ${site.file}:${site.line}`)).toEqual([]);
});

test('every entry is a rule of the sources: take stale ones out of tools/explain/src/rules', () => {
  const used = new Set(scan.sites.map((site) => site.rule));
  expect(rules.map((rule) => rule.id).filter((id) => !used.has(id))).toEqual([]);
});

test('no id stands twice, and every entry has a sentence, a remedy and a source', () => {
  const ids = rules.map((rule) => rule.id);
  expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  const bad = rules.filter((rule) => !/[.?]$/.test(rule.says) || !/[.?]$/.test(rule.remedy) || !(rule.linux === '-' || /\.[ch] \w|\.[ch]$|^virtio 1\.\d, /.test(rule.linux)));
  expect(bad.map((rule) => rule.id)).toEqual([]);
});

import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { stalePages } from './index.ts';
import { table, withPart } from './page.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

it('the generated pages say what the code says: npm run docs', () => {
  expect([...stalePages(root).keys()]).toEqual([]);
});

it('a page keeps what stands outside its generated part', () => {
  const page = 'before\n<!-- generated: x -->\nold\n<!-- end -->\nafter\n';
  expect(withPart(page, 'p.md', 'x', 'new')).toBe('before\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\nafter\n');
  expect(withPart(withPart(page, 'p.md', 'x', 'new'), 'p.md', 'x', 'new')).toBe(withPart(page, 'p.md', 'x', 'new'));
});

it('a page without the part is an error that names both', () => {
  expect(() => withPart('text', 'p.md', 'x', '')).toThrow('p.md: no part between "<!-- generated: x -->" and "<!-- end -->"');
});

it('a stale page is named with what it should say', () => {
  expect([...stalePages(root, [{ path: 'docs/reference/none.md', part: null, text: 'new' }])]).toEqual([['docs/reference/none.md', 'new']]);
});

it('a cell cannot break its table', () => {
  expect(table(['a', 'b'], [['x | y', 'two\nlines']])).toBe('| a | b |\n|---|---|\n| x \\| y | two lines |\n');
});

/** Reference pages that are read off the code. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorsPage, ERRORS_PAGE } from '@vdpalab/explain/dev';
import { commandsPages } from './commands-page.ts';
import { labFilePages } from './lab-file-page.ts';
import { withPart, type Page } from './page.ts';
import { symbolsPages } from './symbols-page.ts';

/** Every generated page and part. @param root folder of the workspace, built */
export function pages(root: string): Page[] {
  return [...symbolsPages(root), ...commandsPages(), ...labFilePages(), { path: ERRORS_PAGE, part: null, text: errorsPage(root) }];
}

/** What the files should say where they do not: path -> text. */
export function stalePages(root: string, generated: readonly Page[] = pages(root)): ReadonlyMap<string, string> {
  const wanted = new Map<string, string>();
  for (const { path, part, text } of generated) {
    const file = join(root, path);
    const before = wanted.get(path) ?? (existsSync(file) ? readFileSync(file, 'utf8') : '');
    wanted.set(path, part === null ? text : withPart(before, path, part, text));
  }
  for (const [path, text] of wanted) if (existsSync(join(root, path)) && readFileSync(join(root, path), 'utf8') === text) wanted.delete(path);
  return wanted;
}

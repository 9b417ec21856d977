/** modprobe.d: what users say about modules. See modprobe.d(5) of kmod 30. */
import { fnmatch } from './fnmatch.ts';
import { normalizeAlias } from './names.ts';

/** Where a line stands. */
export interface Origin {
  readonly file: string;
  /** 1-based; the last physical line of a continued one. 0 for the kernel command line. */
  readonly line: number;
}

/** `alias WILDCARD MODULE` */
export interface ConfigAlias extends Origin {
  /** Normalised. */
  readonly pattern: string;
  readonly module: string;
}

/** `blacklist MODULE` */
export interface ConfigBlacklist extends Origin {
  readonly module: string;
}

/** `options MODULE TEXT`, `install MODULE COMMAND`, `remove MODULE COMMAND` */
export interface ConfigText extends Origin {
  readonly module: string;
  readonly text: string;
}

/** `softdep MODULE pre: a b post: c` */
export interface ConfigSoftdep extends Origin {
  readonly module: string;
  readonly pre: readonly string[];
  readonly post: readonly string[];
}

/** `weakdep MODULE a b`: recorded for initramfs tools, never loaded by modprobe. */
export interface ConfigWeakdep extends Origin {
  readonly module: string;
  readonly deps: readonly string[];
}

/** A line that is ignored. */
export interface ConfigError extends Origin {
  /** Its first word; `null` for a directory in a file's place. */
  readonly word: string | null;
}

/** All of modprobe.d, modules.softdep and the kernel command line, in order. */
export interface Config {
  readonly aliases: readonly ConfigAlias[];
  readonly blacklists: readonly ConfigBlacklist[];
  readonly options: readonly ConfigText[];
  readonly installs: readonly ConfigText[];
  readonly removes: readonly ConfigText[];
  readonly softdeps: readonly ConfigSoftdep[];
  readonly weakdeps: readonly ConfigWeakdep[];
  readonly errors: readonly ConfigError[];
}

/** A configuration being read. */
type Draft = { -readonly [K in keyof Config]: Config[K][number][] };

/** A file of a configuration. */
export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

/** A configuration that says nothing. */
export const EMPTY_CONFIG: Config = parseConfig([]);

/**
 * Read configuration files in their order, then the kernel command line.
 *
 * @param cmdline text of /proc/cmdline
 */
export function parseConfig(files: readonly ConfigFile[], cmdline = ''): Config {
  const draft: Draft = { aliases: [], blacklists: [], options: [], installs: [], removes: [], softdeps: [], weakdeps: [], errors: [] };
  for (const file of files) for (const { text, line } of logicalLines(file.text)) parseLine(text, { file: file.path, line }, draft);
  parseCmdline(cmdline, draft);
  return draft;
}

/** Lines with `\` newline joined and any other backslash dropped, so that the character after it stays. */
function logicalLines(text: string): { readonly text: string; readonly line: number }[] {
  const out: { text: string; line: number }[] = [];
  let current = '';
  let line = 1;
  let some = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string; // i is in range
    if (c === '\\') {
      const next = text[++i];
      if (next === '\n') line++;
      else if (next !== undefined) current += next;
      some = true;
    } else if (c === '\n') {
      out.push({ text: current, line });
      line++;
      current = '';
      some = false;
    } else {
      current += c;
      some = true;
    }
  }
  if (some) out.push({ text: current, line });
  return out;
}

/** The next word after blanks and the rest after exactly one blank. */
function cut(text: string): { readonly word: string | null; readonly rest: string } {
  const m = /^[ \t]*([^ \t]+)(?:[ \t](.*))?$/s.exec(text);
  return m === null ? { word: null, rest: '' } : { word: m[1] ?? null, rest: m[2] ?? '' };
}

function parseLine(text: string, at: Origin, draft: Draft): void {
  if (text === '' || text.startsWith('#')) return;
  const command = cut(text);
  if (command.word === null) return;
  const subject = cut(command.rest);
  const name = subject.word === null ? null : normalizeAlias(subject.word);
  const bad = (): void => void draft.errors.push({ ...at, word: command.word ?? '' });
  if (name === null) return bad();
  switch (command.word) {
    case 'alias': {
      const target = cut(subject.rest).word;
      const module = target === null ? null : normalizeAlias(target);
      return module === null ? bad() : void draft.aliases.push({ ...at, pattern: name, module });
    }
    case 'blacklist':
      return void draft.blacklists.push({ ...at, module: name });
    case 'options':
      return subject.rest === '' ? bad() : void draft.options.push({ ...at, module: name, text: subject.rest.replaceAll('\t', ' ') });
    case 'install':
      return subject.rest === '' ? bad() : void draft.installs.push({ ...at, module: name, text: subject.rest });
    case 'remove':
      return subject.rest === '' ? bad() : void draft.removes.push({ ...at, module: name, text: subject.rest });
    case 'softdep':
      return subject.rest === '' ? bad() : void draft.softdeps.push({ ...at, module: name, ...softdepWords(subject.rest) });
    case 'weakdep':
      if (subject.rest !== '') draft.weakdeps.push({ ...at, module: name, deps: words(subject.rest) });
      return bad(); // kmod 30 does not know it yet
    default:
      return bad();
  }
}

function words(text: string): string[] {
  return text.split(/[ \t]+/).filter((word) => word !== '');
}

/** `pre: a b post: c`; words before the first of the two are dropped. */
function softdepWords(text: string): { pre: string[]; post: string[] } {
  const out = { pre: [] as string[], post: [] as string[] };
  let into: string[] | null = null;
  for (const word of words(text)) {
    if (word === 'pre:') into = out.pre;
    else if (word === 'post:') into = out.post;
    else into?.push(word);
  }
  return out;
}

/** `module.param=value` words, and `modprobe.blacklist=a,b`. */
function parseCmdline(text: string, draft: Draft): void {
  const at: Origin = { file: '/proc/cmdline', line: 0 };
  for (const word of cmdlineWords(text)) {
    const whole = /^"(.*)"$/s.exec(word);
    const plain = whole?.[1] ?? word;
    const m = /^([^.=]+)\.([^.=]+)(?:=(.*))?$/s.exec(plain);
    if (m === null) continue;
    const [, module, param] = m as unknown as [string, string, string]; // both groups match
    let value = m[3];
    if (/[ \t]/.test(module) || /[ \t]/.test(param)) continue; // blanks in a quoted part that is no value
    if (whole !== null && value !== undefined && /[ \t]/.test(value)) value = `"${value}"`;
    if (module === 'modprobe' && param === 'blacklist') {
      for (const name of (value ?? '').split(',').filter((n) => n !== '')) draft.blacklists.push({ ...at, module: name });
      continue;
    }
    const name = normalizeAlias(module);
    if (name === null) draft.errors.push({ ...at, word: module });
    else draft.options.push({ ...at, module: name, text: value === undefined ? param : `${param}=${value}` });
  }
}

/** Words of a kernel command line; blanks inside quotes do not split. */
function cmdlineWords(text: string): string[] {
  return text.match(/(?:"[^"]*"?|[^\s"])+/g) ?? [];
}

/** Where configuration comes from: a directory with the names in it, or one file, whatever it is called. */
export type ConfigSource = { readonly dir: string; readonly names: readonly string[] } | { readonly dir: string; readonly file: string };

/** Which files count: of one base name the first source's, all in the order of base names. @param ending of files in directories */
export function mergeConfigDirs(sources: readonly ConfigSource[], ending = /\.(conf|alias)$/): string[] {
  const byBase = new Map<string, string>();
  for (const source of sources) {
    const names = 'file' in source ? [source.file] : source.names.filter((name) => !name.startsWith('.') && ending.test(name));
    for (const name of names) if (!byBase.has(name)) byBase.set(name, `${source.dir}/${name}`);
  }
  return [...byBase].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, path]) => path);
}

/** The line `libkmod` writes about a bad line, source place and all. */
export function configErrorText(error: ConfigError): string {
  if (error.word === null) return `libkmod: ERROR ../libkmod/libkmod-config.c:772 conf_files_filter_out: Directories inside directories are not supported: ${error.file}`;
  if (error.word === 'include' || error.word === 'config') {
    return `libkmod: ERROR ../libkmod/libkmod-config.c:708 kmod_config_parse: ${error.file}: command ${error.word} is deprecated and not parsed anymore`;
  }
  return `libkmod: ERROR ../libkmod/libkmod-config.c:712 kmod_config_parse: ${error.file} line ${error.line}: ignoring bad line starting with '${error.word}'`;
}

/** The first line of a kind whose subject matches the module's name; later ones do not count. */
export function firstFor<T extends { readonly module: string }>(lines: readonly T[], module: string): T | undefined {
  return lines.find((line) => fnmatch(line.module, module));
}

/** `modprobe -c`, up to the indexes. The blank that is missing between pre and post names is kmod 30's. */
export function configText(config: Config): string {
  const soft = (s: ConfigSoftdep): string => `${s.pre.length === 0 ? '' : `pre: ${s.pre.join(' ')}`}${s.post.length === 0 ? '' : `post: ${s.post.join(' ')}`}`;
  return [
    ...config.blacklists.map((b) => `blacklist ${b.module}`),
    ...config.installs.map((i) => `install ${i.module} ${i.text}`),
    ...config.removes.map((r) => `remove ${r.module} ${r.text}`),
    ...config.aliases.map((a) => `alias ${a.pattern} ${a.module}`),
    ...config.options.map((o) => `options ${o.module} ${o.text}`),
    ...config.softdeps.map((s) => `softdep ${s.module} ${soft(s)}`),
  ].map((line) => `${line}\n`).join('');
}

/** Whether `modprobe.d` blacklists the module. */
export function isBlacklisted(config: Config, module: string): boolean {
  return config.blacklists.some((b) => b.module === module);
}

/** Options of a module, or of the alias it was reached by, in the order of the files; `null` when there are none. */
export function optionsFor(config: Config, module: string, alias: string | null): string | null {
  const found = config.options.filter((o) => o.module === module || o.module === alias);
  return found.length === 0 ? null : found.map((o) => o.text).join(' ');
}


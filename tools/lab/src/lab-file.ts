/** Reading a lab file from the host: what it names must be there. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isListed } from './build-order.ts';
import { builtModules } from './built-modules.ts';
import { parseLabFile, type LabConfig, type LabFileProblem } from './config.ts';

/**
 * Read a lab file and look for the host files and the modules that it names.
 *
 * @throws LabFileError with every issue found; Error with `code` and `path` when the file itself cannot be read
 */
export function readLabFile(file: string): LabConfig {
  return parseLabFile(textOf(file), file, (config) => [...missingFiles(config, dirname(file)), ...missingModules(config)]);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw Object.assign(error as NodeJS.ErrnoException, { path: file }); // a folder is found out by its read, which knows no path
  }
}

/** Host files and folders, by their paths relative to the lab file, that are not there. */
function missingFiles({ files, networks, modules }: LabConfig, folder: string): LabFileProblem[] {
  const named = [
    ...Object.entries(files).map(([path, from]) => ({ path: ['files', path], from })),
    ...networks.flatMap((net, i) => net.responders.flatMap((one, j) =>
      Object.entries(one.files).map(([name, from]) => ({ path: ['networks', i, 'responders', j, 'files', name], from })))),
    ...modules.extra.map((from, i) => ({ path: ['modules', 'extra', i], from })),
  ];
  return named.filter(({ from }) => !existsSync(resolve(folder, from)))
    .map(({ path, from }) => ({ path, message: `${from}: no such file or folder beside the lab file` }));
}

/** Names of `only` and `without` that no module of the workspace has: most often a slip of the pen. */
function missingModules({ modules }: LabConfig): LabFileProblem[] {
  const own = builtModules();
  return (['only', 'without'] as const).flatMap((key) => (modules[key] ?? []).flatMap((name, i) =>
    (own.some(({ info }) => isListed([name], info)) ? [] : [{ path: ['modules', key, i], message: `there is no module ${name}` }])));
}

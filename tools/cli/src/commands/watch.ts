/** `vdpalab watch`: one module in a living lab, reloaded and tried again whenever it is built anew. */
import { fileURLToPath } from 'node:url';
import { createLab, modulePath, readBuiltModule, type Lab } from '@vdpalab/lab';
import { playedLines, Player, replay, verdictText } from '@vdpalab/shell';
import { programs } from '../programs/index.ts';
import { hotCopy } from './hot-copy.ts';
import { labFor, openTranscript, type OpenTranscript } from './run.ts';
import { moduleFolder } from './source-changes.ts';

/** Where copies go: below the workspace, ignored by git. */
const copies = fileURLToPath(new URL('../../../../out/watch/', import.meta.url));

/** How a module is watched. */
export interface WatchOptions {
  /** Transcript to play after each load. */
  readonly scenario?: string;
  readonly lab?: string;
  readonly out: (text: string) => void;
  /** A value for each change; watching ends with it. */
  readonly changes: AsyncIterable<unknown>;
  /** @returns what the compiler says; empty when all is well */
  readonly build: (dir: string) => string;
  /** The module's folder; that of the workspace's package when absent. */
  readonly dir?: string;
}

/** Loaded modules that need `name`, users before what they use, with itself last; empty when it is not loaded. */
function loadedUsers(lab: Lab, name: string): string[] {
  const loaded = new Map(lab.loader.modules().map((m) => [m.name, m]));
  const order: string[] = [];
  const visit = (at: string): void => {
    const module = loaded.get(at);
    if (module === undefined || order.includes(at)) return;
    for (const user of module.holders) visit(user);
    order.push(at);
  };
  visit(name);
  return order;
}

/** One lab with one module that comes again and again. */
class Watched {
  readonly #lab: Lab;
  readonly #player: Player;
  readonly #dir: string;
  readonly #scenario: OpenTranscript | null;
  readonly #out: (text: string) => void;
  #hash = '';

  constructor(lab: Lab, player: Player, dir: string, scenario: OpenTranscript | null, out: (text: string) => void) {
    this.#lab = lab;
    this.#player = player;
    this.#dir = dir;
    this.#scenario = scenario;
    this.#out = out;
  }

  /** Load what was built last, and play the scenario. @returns whether all went as the transcript says; `null` when nothing changed */
  async again(): Promise<boolean | null> {
    const { module, hash } = hotCopy(readBuiltModule(this.#dir), copies);
    if (hash === this.#hash) return null;
    this.#hash = hash;
    const { name } = module.info;
    const users = loadedUsers(this.#lab, name);
    const unloaded = users.length === 0 || await this.#type(`rmmod ${users.join(' ')}`);
    await this.#lab.replaceModule(module);
    this.#out(`# ${name} ${hash}\n`);
    if (!unloaded) return false;
    const path = modulePath(module.info, this.#lab.config.release);
    let good = users.length === 0 || await this.#type(`insmod ${path}`);
    for (const user of users.slice(0, -1).toReversed()) good = good && await this.#type(`modprobe ${user}`);
    if (this.#scenario !== null) return good && await this.#play(this.#scenario);
    return users.length > 0 ? good : this.#type(`modprobe ${name}`);
  }

  async #play({ file, transcript, setup }: OpenTranscript): Promise<boolean> {
    const verdicts = await replay(this.#player, transcript, (verdict) => {
      if (!verdict.equal) this.#out(`${verdictText(verdict, file)}\n`);
    }, setup);
    const equal = verdicts.filter((v) => v.equal).length;
    this.#out(`${file}: ${equal} of ${verdicts.length} commands as the transcript says\n`);
    return equal === verdicts.length;
  }

  /** A command as if typed, with what it did. @returns whether its status is 0 */
  async #type(command: string): Promise<boolean> {
    const played = await this.#player.play(command);
    const lines = playedLines(command, played).filter((line) => !line.startsWith('uevent: ') && line !== 'exit: 0');
    this.#out(`${lines.join('\n')}\n`);
    return played.out.at(-1) === 'exit: 0';
  }
}

/**
 * Load a module, play its scenario, and do both again after each change.
 *
 * @returns whether the last round went as its transcript says
 * @throws LabFileError | TranscriptError | QuestionError for what cannot be read
 */
export async function watch(name: string, options: WatchOptions): Promise<boolean> {
  const { out, build } = options;
  const dir = options.dir ?? moduleFolder(name);
  const scenario = options.scenario === undefined ? null : openTranscript(options.scenario);
  const lab = scenario === null ? await createLab(options.lab === undefined ? {} : { file: options.lab }) : await labFor(scenario, options);
  const player = await Player.open(lab, { applets: programs });
  const watched = new Watched(lab, player, dir, scenario, out);
  let good = (await watched.again()) ?? true;
  for await (const _ of options.changes) {
    const errors = build(dir);
    if (errors !== '') {
      out(errors);
      good = false;
      continue;
    }
    good = (await watched.again()) ?? good;
  }
  await player.close();
  for (const what of await lab.close()) out(`left behind: ${what}\n`);
  return good;
}

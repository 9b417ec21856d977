/** Walks through every step of an action: each is made to fail in turn, and nothing may stay behind. */
import { isKernelError, type ErrnoName } from '@vdpalab/abi';
import { KIND_ERRNO, type FaultInjector, type FaultStep, type Lab, type UserProcess } from '@vdpalab/lab';

/** Something to do in a lab, and how to take it back. */
export interface Scene {
  readonly name: string;
  readonly act: (lab: Lab) => Promise<void>;
  /** Takes back whatever of it was done; nothing, when nothing was. */
  readonly undo: (lab: Lab) => Promise<void>;
  /** One call of the kernel: when it is refused, everything is as before without taking anything back. */
  readonly atomic: boolean;
  /** It takes long: each step is tried with one errno, and the whole action again only at the end. */
  readonly slow?: boolean;
}

/** What a walk came to. */
export interface Walked {
  readonly scene: string;
  /** Steps the action has. */
  readonly steps: number;
  /** Failures made: steps, times the errnos each was tried with. */
  readonly failures: number;
  /** How many of them the action survived: the kernel does without, or only logs it. */
  readonly survived: number;
  /** What was wrong, one line each. */
  readonly residues: readonly string[];
}

/** How many of a row of like steps are walked from either end: the buffers of a ring, one like the other. */
const ENDS = 6;

/**
 * Errnos each step is tried with: what its kind most often fails with, and for the first of its like another.
 *
 * Of many steps alike only the first and last few are tried.
 */
function triesOf(steps: readonly FaultStep[]): readonly (readonly ErrnoName[])[] {
  const alike = new Map<string, number>();
  for (const step of steps) alike.set(label(step), (alike.get(label(step)) ?? 0) + 1);
  const seen = new Map<string, number>();
  return steps.map((step) => {
    const nth = seen.get(label(step)) ?? 0;
    seen.set(label(step), nth + 1);
    if (nth >= ENDS && nth < (alike.get(label(step)) ?? 0) - ENDS) return [];
    return nth === 0 ? [KIND_ERRNO[step.kind] === 'ENOMEM' ? 'EIO' : 'ENOMEM', KIND_ERRNO[step.kind]] : [KIND_ERRNO[step.kind]];
  });
}

const label = (step: FaultStep): string => `${step.module}: ${[...step.during, step.what].join(' > ')}`;

/** Walk through a scene in a lab that was made with `fail: []`. */
export async function walk(lab: Lab, scene: Scene): Promise<Walked> {
  const { faults } = lab;
  if (faults === null) throw new Error('the lab was made without failures');
  const before = await snapshot(lab);
  const residues: string[] = [];
  await rehearse(faults, lab, scene); // the first time, what is kept for later is made: tables of a translation
  const steps = await rehearse(faults, lab, scene);
  residues.push(...difference(before, await snapshot(lab)).map((line) => `${scene.name} by itself: ${line}`));
  let failures = 0;
  let survived = 0;
  const tries = scene.slow === true ? triesOf(steps).map((errnos) => errnos.slice(0, 1)) : triesOf(steps);
  for (const [i, step] of steps.entries()) {
    for (const errno of tries[i] ?? []) {
      failures++;
      const wrong = (text: string): void => void residues.push(`${scene.name}, step ${i + 1} of ${steps.length} (${label(step)} = ${errno}): ${text}`);
      const outcome = await failAt(lab, faults, scene, i, errno);
      if (!outcome.reached) wrong('not reached this time');
      if (outcome.mistake !== null) wrong(outcome.mistake);
      if (!outcome.refused) survived++;
      if (!outcome.refused || !scene.atomic) await attempt(() => scene.undo(lab), wrong, 'cannot be taken back');
      const left = difference(before, await snapshot(lab));
      for (const line of left) wrong(line);
      if (left.length > 0) await attempt(() => scene.undo(lab), wrong, 'cannot be taken back');
      // The next try goes as far as this one by itself: the whole again is done once for each kind of step.
      if (tries[i]?.length === 1 && left.length === 0) continue;
      await attempt(() => scene.act(lab), wrong, 'does not work afterwards');
      await attempt(() => scene.undo(lab), wrong, 'cannot be taken back afterwards'); // what is left then is seen at the next step
    }
  }
  await attempt(() => scene.act(lab), (text) => void residues.push(text), `${scene.name}, at the end: does not work`);
  await attempt(() => scene.undo(lab), (text) => void residues.push(text), `${scene.name}, at the end: cannot be taken back`);
  residues.push(...difference(before, await snapshot(lab)).map((line) => `${scene.name}, at the end: ${line}`));
  return { scene: scene.name, steps: steps.length, failures, survived, residues };
}

async function rehearse(faults: FaultInjector, lab: Lab, scene: Scene): Promise<readonly FaultStep[]> {
  const recorded = faults.record();
  await scene.act(lab);
  const steps = recorded.filter(canFail);
  await scene.undo(lab);
  faults.stop();
  return steps;
}

/** Operations that may refuse; the others are void in Linux, or refuse only what is wrong with their arguments. */
const REFUSING_OPS = new Set([
  'probe', 'dev_add', 'open', 'ioctl', 'mmap', 'set_map', 'dma_map', 'set_driver_features', 'set_vq_state', 'get_vq_state', 'suspend', 'resume',
  'set_vq_address', 'set_group_asid', 'find_vqs', 'ndo_open', 'dma_configure', 'sriov_configure', 'bind_mm', 'attach_dev', 'queue_rq',
]);

const canFail = (step: FaultStep): boolean => step.kind !== 'op' || REFUSING_OPS.has(step.what);

async function failAt(lab: Lab, faults: FaultInjector, scene: Scene, at: number, errno: ErrnoName): Promise<{ reached: boolean; refused: boolean; mistake: string | null }> {
  let count = 0;
  faults.decide((step) => (canFail(step) && count++ === at ? errno : null));
  try {
    await scene.act(lab);
    return { reached: count > at, refused: false, mistake: null };
  } catch (error) {
    const isRefusal = isKernelError(error) || (error as Error).name === 'NetlinkError';
    return { reached: count > at, refused: true, mistake: isRefusal ? null : `not a refusal but ${String((error as Error).stack ?? error)}` };
  } finally {
    faults.decide(null);
  }
}

async function attempt(body: () => Promise<void>, wrong: (text: string) => void, what: string): Promise<void> {
  try {
    await body();
  } catch (error) {
    wrong(`${what}: ${error instanceof Error ? `${error.name} ${error.message}` : String(error)}`);
  }
}

/** Every table of the kernel that shows: files of sysfs, devtmpfs and procfs, modules, interrupts, windows, and what subsystems hold. */
export async function snapshot(lab: Lab): Promise<readonly string[]> {
  const lines = await lab.user(async (p) => {
    const out: string[] = [];
    for (const root of ['/sys', '/dev']) await list(p, root, out);
    for (const file of ['/proc/modules', '/proc/iomem', '/proc/devices', '/proc/net/dev']) {
      const text = await read(p, file);
      out.push(...text.split('\n').map((line) => `${file}: ${line}`));
    }
    const interrupts = await read(p, '/proc/interrupts'); // counts differ, lines may not
    out.push(...interrupts.split('\n').map((line) => `/proc/interrupts: ${line.replace(/:\s+\d+/, ':')}`));
    return out;
  });
  return [...lines, ...lab.leftovers().map((what) => `held: ${what}`)];
}

/** Files whose text counts, besides what /proc/modules says of references. */
const COUNTS = new Set(['enable', 'driver_override']);

async function list(p: UserProcess, dir: string, out: string[]): Promise<void> {
  for (const { name, kind } of await p.readdir(dir)) {
    const path = `${dir}/${name}`;
    out.push(path);
    if (kind === 'dir') await list(p, path, out);
    if (kind === 'file' && COUNTS.has(name)) out.push(`${path}: ${(await read(p, path)).trim()}`);
  }
}

async function read(p: UserProcess, path: string): Promise<string> {
  try {
    return await p.readFile(path);
  } catch {
    return '';
  }
}

/** What is there now and was not, and the reverse. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  const [was, is] = [new Set(before), new Set(after)];
  return [...after.filter((line) => !was.has(line)).map((line) => `left behind: ${line}`), ...before.filter((line) => !is.has(line)).map((line) => `gone: ${line}`)];
}

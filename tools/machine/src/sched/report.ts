/** Who waits for whom, found and told. */
import type { RunResult, Task } from '@vdpalab/abi';

/**
 * A cycle of waiting tasks: each waits for the next, the last for the first.
 *
 * @param tasks parked tasks
 * @returns `null` when there is none
 */
export function findCycle(tasks: readonly Task[]): readonly Task[] | null {
  const done = new Set<Task>();
  for (const root of tasks) {
    const path: Task[] = [];
    const cycle = search(root, path, done);
    if (cycle !== null) return cycle;
  }
  return null;
}

function search(task: Task, path: Task[], done: Set<Task>): readonly Task[] | null {
  const seen = path.indexOf(task);
  if (seen >= 0) return path.slice(seen);
  if (done.has(task) || task.state !== 'parked') return null;
  path.push(task);
  for (const owner of task.wait?.owners?.() ?? []) {
    const cycle = search(owner, path, done);
    if (cycle !== null) return cycle;
  }
  path.pop();
  done.add(task);
  return null;
}

/** What a run came to when nothing is left that could run. @param tasks all that are not done */
export function verdict(tasks: readonly Task[]): RunResult {
  const parked = tasks.filter((task) => task.state === 'parked');
  const cycle = findCycle(parked);
  if (cycle !== null) return { kind: 'deadlock', cycle };
  const blocked = parked.filter((task) => task.wait?.idle !== true);
  return blocked.length > 0 ? { kind: 'blocked', tasks: blocked } : { kind: 'idle' };
}

/** What a run came to, in words; one line per task that waits. */
export function describeRun(result: RunResult): string {
  switch (result.kind) {
    case 'idle': return 'idle';
    case 'limit': return `still busy after ${result.steps} steps`;
    case 'blocked': return ['blocked:', ...result.tasks.map((task) => `  ${describeWait(task)}`)].join('\n');
    case 'deadlock': return ['deadlock:', ...result.cycle.map((task) => `  ${describeWait(task)}`)].join('\n');
  }
}

function describeWait(task: Task): string {
  const owners = task.wait?.owners?.() ?? [];
  const held = owners.length === 0 ? '' : ` (${owners.map((owner) => `${owner.name}[${owner.id}]`).join(', ')})`;
  return `${task.name}[${task.id}] waits for ${task.wait?.what ?? 'nothing'}${held}`;
}

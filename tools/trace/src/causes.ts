/** Why something happened: the events that led to one, first cause first. */
import type { TraceEvent } from '@vdpalab/abi';

/**
 * The chain of causes of an event, itself last.
 *
 * A cause that the trace does not hold, because tracing began later, ends the chain.
 *
 * @throws RangeError when no event has the id
 */
export function causesOf(events: readonly TraceEvent[], id: number): TraceEvent[] {
  const byId = new Map(events.map((event) => [event.id, event]));
  const start = byId.get(id);
  if (start === undefined) throw new RangeError(`the trace has no event ${id}`);
  const chain = [start];
  for (let next = byId.get(start.cause); next !== undefined && !chain.includes(next); next = byId.get(next.cause)) chain.unshift(next);
  return chain;
}

/** A chain as a person reads it: one event a line, with its time. */
export function causesText(chain: readonly TraceEvent[]): string {
  return chain.map((event, depth) => {
    const fields = Object.entries(event.fields).map(([key, value]) => `${key}=${String(value)}`).join(' ');
    return `${'  '.repeat(depth)}${(event.at / 1000).toFixed(3)} us ${event.type}${fields === '' ? '' : ` ${fields}`}\n`;
  }).join('');
}

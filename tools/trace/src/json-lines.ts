/** Traces as JSON lines: one event a line, written as it happens and read back whole. */
import type { Atomic, TraceEvent } from '@vdpalab/abi';

/** A line as {@link readTrace} refuses it. */
export class TraceLineError extends Error {
  /** @param line 1-based */
  constructor(file: string, line: number, text: string) {
    super(`${file}:${line}: ${text}`);
    this.name = 'TraceLineError';
  }
}

/**
 * A sink that writes each event as a line.
 *
 * @param write gets the line, newline included
 */
export function jsonLines(write: (line: string) => void): (event: TraceEvent) => Atomic {
  return (event) => {
    write(`${JSON.stringify(event)}\n`);
    return undefined;
  };
}

function isEvent(value: unknown): value is TraceEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { id, cause, at, type, fields } = value as Record<string, unknown>;
  return typeof id === 'number' && typeof cause === 'number' && typeof at === 'number' && typeof type === 'string' && typeof fields === 'object' && fields !== null;
}

/**
 * Read a trace back.
 *
 * @param file name for messages
 * @throws TraceLineError for a line that is no event
 */
export function readTrace(text: string, file: string): TraceEvent[] {
  return text.split('\n').flatMap((line, index) => {
    if (line === '') return [];
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw new TraceLineError(file, index + 1, 'not JSON');
    }
    if (!isEvent(value)) throw new TraceLineError(file, index + 1, 'no trace event: id, cause, at, type and fields are needed');
    return [value];
  });
}

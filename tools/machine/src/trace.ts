/** The stream of events with their causes. */
import type { Atomic, Scheduler, Trace, TraceEvent } from '@vdpalab/abi';

/** Takes trace events as they happen. */
export type TraceSink = (event: TraceEvent) => Atomic;

/** {@link Trace} that numbers events and hands them to a sink; off while there is none. */
export class EventTrace implements Trace {
  enabled = false;
  private sink: TraceSink | null = null;
  private last = 0;
  private readonly sched: Scheduler;

  constructor(sched: Scheduler) {
    this.sched = sched;
  }

  /** Switch on, or off with `null`. Numbers go on where they were. */
  to(sink: TraceSink | null): undefined {
    this.sink = sink;
    this.enabled = sink !== null;
  }

  emit(type: string, fields: TraceEvent['fields']): number {
    if (this.sink === null) return 0;
    const id = ++this.last;
    this.sink({ id, cause: this.sched.cause, at: this.sched.now, type, fields });
    return id;
  }
}

import type { TraceEvent } from '@vdpalab/abi';
import { describe, expect, it } from 'vitest';
import { causesOf, causesText } from './causes.ts';
import { jsonLines, readTrace } from './json-lines.ts';

const event = (id: number, cause: number, type: string, fields: TraceEvent['fields'] = {}): TraceEvent => ({ id, cause, at: id * 1000, type, fields });
const events = [event(1, 0, 'kick', { queue: 1 }), event(2, 1, 'tx'), event(3, 0, 'other'), event(4, 2, 'irq', { vector: 33 })];

describe('a trace', () => {
  it('is read back as it was written', () => {
    let text = '';
    const sink = jsonLines((line) => void (text += line));
    for (const e of events) sink(e);
    expect(text.split('\n')).toHaveLength(5);
    expect(readTrace(text, 'x')).toEqual(events);
  });

  it.each([['{"id": 1}\n', 'x:1: no trace event'], ['\nnope\n', 'x:2: not JSON'], ['null\n', 'x:1: no trace event']])('says where it is wrong: %j', (bad, message) => {
    expect(() => readTrace(bad, 'x')).toThrow(message);
  });

  it('tells what led to an event, first cause first', () => {
    expect(causesOf(events, 4).map((e) => e.id)).toEqual([1, 2, 4]);
    expect(causesText(causesOf(events, 4))).toBe('1.000 us kick queue=1\n  2.000 us tx\n    4.000 us irq vector=33\n');
    expect(() => causesOf(events, 9)).toThrow('the trace has no event 9');
  });

  it('ends a chain whose cause it does not hold, or that goes in a circle', () => {
    expect(causesOf([event(5, 99, 'late')], 5).map((e) => e.id)).toEqual([5]);
    expect(causesOf([event(1, 2, 'a'), event(2, 1, 'b')], 1).map((e) => e.id)).toEqual([2, 1]);
  });
});

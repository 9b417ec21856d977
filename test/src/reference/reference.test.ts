import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pageFile, pageText } from './page.ts';
import { recordingNames, replayRecording, type Score } from './replay.ts';
import { readTable, realTableFile, regressions, tableFile, tableText, unexplained, updated, type Table } from './table.ts';

const table = readTable();

describe('the recordings of Linux 6.1', () => {
  it.each(recordingNames())('%s replays as well as the table says, or better', { timeout: 120_000 }, async (name) => {
    expect(regressions(table, await replayRecording(name))).toEqual([]);
  });

  it('differ only for a reason that is written down', () => {
    expect(unexplained(table)).toEqual([]);
    expect(Object.keys(table.recordings).sort()).toEqual(recordingNames());
  });

  it('have a table and a page that were generated', () => {
    expect(tableText(table)).toBe(readFileSync(tableFile, 'utf8'));
    expect(tableText(readTable(realTableFile))).toBe(readFileSync(realTableFile, 'utf8'));
    expect(pageText(table, readTable(realTableFile))).toBe(readFileSync(pageFile, 'utf8'));
  });
});

describe('the table of differences', () => {
  const wanted = { command: 'true', line: 3, section: '', out: ['exit: 0'], dmesg: [], uevents: [], recorded: true };
  const verdict = { out: ['exit: 1'], dmesg: [], uevents: [], wanted, outEqual: false, dmesgEqual: true, ueventsEqual: true, equal: false };
  const score: Score = { name: 'x.txt', left: [], commands: [{ verdict, needs: { programs: [], modules: [] }, differs: ['out'] }] };
  const empty: Table = { reasons: { 'a reason': 'A sentence.' }, recordings: {} };

  it('does not let what was equal become different', () => {
    expect(regressions(empty, score)).toEqual(['x.txt:3: out of $ true']);
    expect(regressions(updated(empty, score), score)).toEqual([]);
  });

  it('wants a reason for each difference', () => {
    const open = updated(empty, score);
    expect(unexplained(open)).toEqual(['x.txt:3: unexplained']);
    const explained: Table = { ...empty, recordings: { 'x.txt': { commands: 1, differences: [{ line: 3, parts: ['out'], reason: 'a reason' }] } } };
    expect(unexplained(explained)).toEqual([]);
    expect(updated(explained, score)).toEqual(explained);
  });

  it('takes the want of a program or a module for a reason', () => {
    const [command] = score.commands;
    const lacking: Score = { ...score, commands: [{ ...command!, needs: { programs: ['mdevctl'], modules: ['mtty'] } }] };
    expect(updated(empty, lacking).recordings['x.txt']?.differences).toEqual([{ line: 3, parts: ['out'], reason: 'program mdevctl' }]);
  });

  it('forgets a difference that is gone', () => {
    const better: Score = { ...score, commands: score.commands.map((c) => ({ ...c, differs: [] })) };
    expect(updated(updated(empty, score), better).recordings['x.txt']?.differences).toEqual([]);
  });
});

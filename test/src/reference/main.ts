/** `npm run reference -- [NN...] [--quiet] [--update]`: replay the recordings, print the scores and what differs. */
import { writeFileSync } from 'node:fs';
import { verdictText } from '@vdpalab/shell';
import { pageFile, pageText } from './page.ts';
import { recordingNames, replayRecording, type Score } from './replay.ts';
import { equalCounts, readTable, regressions, unexplained, updated, writeTable } from './table.ts';

const options = process.argv.slice(2).filter((arg) => arg.startsWith('--'));
const names = recordingNames(process.argv.slice(2).filter((arg) => !arg.startsWith('--')));

function scoreLine({ name, commands, left }: Score): string {
  const n = commands.length;
  const { out, dmesg, uevents } = equalCounts(n, commands.map((c) => ({ parts: c.differs })));
  const lacking = commands.filter((c) => c.differs.includes('out') && c.needs.programs.length + c.needs.modules.length > 0);
  const able = n - lacking.length;
  const lacks = new Set(lacking.flatMap((c) => [...c.needs.programs.map((p) => `program ${p}`), ...c.needs.modules.map((m) => `module ${m}`)]));
  return `${name}: ${out} of ${n} commands equal, of those able ${out} of ${able} (${((100 * out) / able).toFixed(1)} %), dmesg ${dmesg}, uevents ${uevents}`
    + `${lacks.size > 0 ? `\n  not there: ${[...lacks].join(', ')}` : ''}${left.length > 0 ? `\n  left behind: ${left.join('; ')}` : ''}`;
}

let table = readTable();
const scores: Score[] = [];
for (const name of names) {
  const score = await replayRecording(name);
  scores.push(score);
  if (!options.includes('--quiet')) {
    for (const { verdict, differs, needs } of score.commands) {
      if (differs.length === 0) continue;
      const lacks = [...needs.programs, ...needs.modules];
      process.stdout.write(`${verdictText(verdict, name)}\n${lacks.length > 0 ? `    not there: ${lacks.join(', ')}\n` : ''}`);
    }
  }
  if (options.includes('--update')) table = updated(table, score);
}
for (const score of scores) process.stdout.write(`${scoreLine(score)}\n`);
if (options.includes('--update')) {
  writeTable(table);
  writeFileSync(pageFile, pageText(table));
}
const wrong = [...scores.flatMap((score) => regressions(table, score).map((text) => `newly different: ${text}`)), ...unexplained(table).map((text) => `no reason: ${text}`)];
process.stdout.write(wrong.map((text) => `${text}\n`).join(''));
process.exitCode = wrong.length > 0 ? 1 : 0;

/**
 * `npm run reference -- [NN...] [--real] [--quiet] [--update]`: replay the recordings, print the scores and what differs.
 *
 * `--real` replays them and the scenarios in the host's bash.
 */
import { writeFileSync } from 'node:fs';
import { verdictText } from '@vdpalab/shell';
import { pageFile, pageText } from './page.ts';
import { labStage, realStage } from '@vdpalab/cli';
import { recordingNames, replayRecording, scenarioNames, type Score } from './replay.ts';
import { equalCounts, inherit, readTable, realTableFile, regressions, tableFile, unexplained, updated, writeTable } from './table.ts';

const options = process.argv.slice(2).filter((arg) => arg.startsWith('--'));
const isReal = options.includes('--real');
const which = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const names = [...recordingNames(which), ...(isReal ? scenarioNames().filter((name) => which.length === 0 || which.some((w) => name.startsWith(w))) : [])];
const file = isReal ? realTableFile : tableFile;

function scoreLine({ name, commands, left }: Score): string {
  const n = commands.length;
  const { out, dmesg, uevents } = equalCounts(n, commands.map((c) => ({ parts: c.differs })));
  const lacking = commands.filter((c) => c.differs.includes('out') && c.needs.programs.length + c.needs.modules.length > 0);
  const able = n - lacking.length;
  const lacks = new Set(lacking.flatMap((c) => [...c.needs.programs.map((p) => `program ${p}`), ...c.needs.modules.map((m) => `module ${m}`)]));
  return `${name}: ${out} of ${n} commands equal, of those able ${out} of ${able} (${((100 * out) / able).toFixed(1)} %), dmesg ${dmesg}, uevents ${uevents}`
    + `${lacks.size > 0 ? `\n  not there: ${[...lacks].join(', ')}` : ''}${left.length > 0 ? `\n  left behind: ${left.join('; ')}` : ''}`;
}

let table = readTable(file);
const scores: Score[] = [];
for (const name of names) {
  const score = await replayRecording(name, isReal ? realStage : labStage);
  scores.push(score);
  if (!options.includes('--quiet')) {
    for (const { verdict, differs, needs } of score.commands) {
      if (differs.length === 0) continue;
      const lacks = [...needs.programs, ...needs.modules];
      process.stdout.write(`${verdictText(verdict, name)}\n${lacks.length > 0 ? `    not there: ${lacks.join(', ')}\n` : ''}`);
    }
  }
  if (options.includes('--update')) table = isReal ? inherit(updated(table, score), readTable()) : updated(table, score);
}
for (const score of scores) process.stdout.write(`${scoreLine(score)}\n`);
if (options.includes('--update')) {
  writeTable(table, file);
  writeFileSync(pageFile, pageText(readTable(), readTable(realTableFile)));
}
const wrong = [...scores.flatMap((score) => regressions(table, score).map((text) => `newly different: ${text}`)), ...unexplained(table).map((text) => `no reason: ${text}`)];
process.stdout.write(wrong.map((text) => `${text}\n`).join(''));
process.exitCode = wrong.length > 0 ? 1 : 0;

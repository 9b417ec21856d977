/** The vdpalab command, as functions. */
export { graphOf, type GraphOptions } from './commands/graph.ts';
export { recordScript } from './commands/record.ts';
export { labFor, labStage, labSummary, realStage, openTranscript, runTranscript, type OpenTranscript, type RunOptions, type RunSummary, type Stage } from './commands/run.ts';
export { devicePicture, graphFormats, modulePicture, render, type GraphFormat } from './graph.ts';
export { programs } from './programs/index.ts';
export { vdpalab, type CommandIo } from './program.ts';
export { reportHtml, type Report, type ReportCommand } from './report.ts';

/** Sinks for trace events, and what can be asked of a trace. */
export { causesOf, causesText } from './causes.ts';
export { jsonLines, readTrace, TraceLineError } from './json-lines.ts';

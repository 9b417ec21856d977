import { expect, it } from 'vitest';
import { CHUNK, encode, LineSplitter, MAX_LINE, parseFollowup, parseRequest, ProtocolError, toBytes, toText } from './protocol.ts';

it('takes a request apart and puts it together', () => {
  const run = { op: 'run', argv: ['modprobe', '-v', 'vdpa'], cwd: '/root', env: { HOME: '/root' } } as const;
  expect(parseRequest(encode(run))).toEqual(run);
  expect(parseRequest('{"op":"attach","pid":7,"argv":["bash"],"more":1}')).toEqual({ op: 'attach', pid: 7, argv: ['bash'] });
  expect(parseRequest('{"op":"down"}')).toEqual({ op: 'down' });
  const trap = { op: 'trap', pid: 7, listener: 19, families: ['netlink', 'log'] } as const;
  expect(parseRequest(encode(trap))).toEqual(trap);
});

it.each([
  ['', 'not JSON'], ['{', 'not JSON'], ['[]', 'not an object'], ['null', 'not an object'], ['7', 'not an object'],
  ['{"op":"fly","argv":["x"]}', 'no such request'], ['{}', 'argv'], ['{"op":"run"}', 'argv'], ['{"op":"run","argv":[]}', 'argv'],
  ['{"op":"run","argv":["a\\u0000b"],"cwd":"/","env":{}}', 'argv'], ['{"op":"run","argv":[1],"cwd":"/","env":{}}', 'argv'],
  ['{"op":"run","argv":["x"],"cwd":"rel","env":{}}', 'cwd'], ['{"op":"run","argv":["x"],"env":{}}', 'cwd'],
  ['{"op":"run","argv":["x"],"cwd":"/","env":{"A=B":"x"}}', 'env'], ['{"op":"run","argv":["x"],"cwd":"/","env":{"A":1}}', 'env'], ['{"op":"run","argv":["x"],"cwd":"/"}', 'env'],
  ['{"op":"trap","pid":7,"families":[]}', 'listener'], ['{"op":"trap","pid":7,"listener":3}', 'families'], ['{"op":"trap","pid":7,"listener":3,"families":["all"]}', 'families'],
  ['{"op":"attach","argv":["x"],"pid":-1}', 'pid'], ['{"op":"attach","argv":["x"],"pid":1.5}', 'pid'],
])('refuses the request %s', (line, reason) => {
  expect(() => parseRequest(line)).toThrow(ProtocolError);
  expect(() => parseRequest(line)).toThrow(reason);
});

it.each(['{}', '{"signal":0}', '{"signal":64}', '{"line":1}', '{"in":7}', `{"in":"${'x'.repeat(CHUNK + 1)}"}`])('refuses the message %.40s', (line) => {
  expect(() => parseFollowup(line)).toThrow(ProtocolError);
});

it('makes lines of pieces, and refuses one without end', () => {
  const splitter = new LineSplitter();
  expect(splitter.push('a\nb')).toEqual(['a']);
  expect(splitter.push('c\n\n')).toEqual(['bc', '']);
  expect(() => splitter.push('x'.repeat(MAX_LINE + 1))).toThrow(ProtocolError);
});

it('carries every byte', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  expect([...toBytes((JSON.parse(encode({ out: toText(bytes) })) as { out: string }).out)]).toEqual([...bytes]);
});

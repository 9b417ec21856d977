import { beforeEach, expect, it } from 'vitest';
import { FileStore } from './file-store.ts';
import { httpService } from './http.ts';
import type { TcpService } from './tcp.ts';

let store: FileStore;
beforeEach(() => {
  store = new FileStore(new Map([['motd', bytes('hello')]]), 100);
});

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A connection. @returns its service, and what it answered so far */
function connection(): { service: TcpService; answer: () => string; ended: () => boolean } {
  const sent: Uint8Array[] = [];
  let over = false;
  const service = httpService(store, {
    send: (part) => {
      sent.push(part);
    },
    end: () => {
      over = true;
    },
  });
  return { service, answer: () => Buffer.concat(sent).toString(), ended: () => over };
}

function ask(text: string): string {
  const { service, answer, ended } = connection();
  service.receive(bytes(text));
  service.closed();
  return ended() ? answer().split('\r\n')[0]! : 'no answer';
}

it('gives a file, whatever pieces the request comes in', () => {
  const { service, answer, ended } = connection();
  for (const piece of ['GET /mo', 'td HTTP/1.1\r\nHost: x\r', '\n\r', '\n']) service.receive(bytes(piece));
  expect(answer()).toBe('HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello');
  expect(ended()).toBe(true);
});

it('takes a file by PUT and POST, its name decoded, and replaces one', () => {
  const { service, answer } = connection();
  service.receive(bytes('PUT /a%20b HTTP/1.0\r\ncontent-length: 6\r\n\r\nab'));
  service.receive(bytes('cd'));
  expect(answer()).toBe('');
  service.receive(bytes('efgh'));
  expect(answer()).toMatch(/^HTTP\/1.0 201 Created\r\n/);
  expect(store.files.get('a b')).toEqual(bytes('abcdef'));
  service.receive(bytes('more'));
  expect(ask('POST /motd HTTP/1.1\r\nContent-Length: 0\r\n\r\n')).toBe('HTTP/1.0 201 Created');
  expect(store.files.get('motd')).toEqual(new Uint8Array(0));
});

it('refuses what it does not understand, has not got, or has no room for', () => {
  expect(ask('GET /none HTTP/1.0\r\n\r\n')).toBe('HTTP/1.0 404 Not Found');
  expect(ask('GET / HTTP/1.0\r\n\r\n')).toBe('HTTP/1.0 400 Bad Request');
  expect(ask('GET /%zz HTTP/1.0\r\n\r\n')).toBe('HTTP/1.0 400 Bad Request');
  expect(ask('nonsense\r\n\r\n')).toBe('HTTP/1.0 400 Bad Request');
  expect(ask('DELETE /motd HTTP/1.0\r\n\r\n')).toBe('HTTP/1.0 501 Not Implemented');
  expect(ask('PUT /x HTTP/1.0\r\n\r\n')).toBe('HTTP/1.0 411 Length Required');
  expect(ask('PUT /x HTTP/1.0\r\nContent-Length: -1\r\n\r\n')).toBe('HTTP/1.0 400 Bad Request');
  expect(ask('PUT /x HTTP/1.0\r\nContent-Length: 96\r\n\r\n')).toBe('HTTP/1.0 507 Insufficient Storage');
  expect(ask('x'.repeat(9000))).toBe('HTTP/1.0 431 Request Header Fields Too Large');
  expect(ask('GET /motd HTTP/1.0\r\n')).toBe('no answer');
  expect([...store.files.keys()]).toEqual(['motd']);
});

it('keeps nothing of a file whose connection breaks, its room neither', () => {
  const { service } = connection();
  service.receive(bytes('PUT /x HTTP/1.0\r\nContent-Length: 95\r\n\r\nabc'));
  expect(ask('PUT /y HTTP/1.0\r\nContent-Length: 1\r\n\r\ny')).toBe('HTTP/1.0 507 Insufficient Storage');
  service.closed();
  expect(ask('PUT /y HTTP/1.0\r\nContent-Length: 1\r\n\r\ny')).toBe('HTTP/1.0 201 Created');
  expect(store.files.has('x')).toBe(false);
});

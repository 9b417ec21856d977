/** An HTTP server for one exchange per connection: GET gives a file, PUT and POST keep one. */
import type { FileStore } from './file-store.ts';
import type { TcpService, TcpSocket } from './tcp.ts';

/** The port. */
export const HTTP_PORT = 80;
/** Bytes of a request before its body. */
const HEAD_MAX = 8192;
const END_OF_HEAD = [13, 10, 13, 10] as const;

interface Upload {
  readonly name: string;
  readonly data: Uint8Array;
  filled: number;
}

/**
 * Serve one connection.
 *
 * @see RFC 1945 (HTTP/1.0)
 */
export function httpService(store: FileStore, socket: TcpSocket): TcpService {
  let head = new Uint8Array(0);
  let upload: Upload | null = null;
  let answered = false;

  const answer = (status: string, body: Uint8Array = new Uint8Array(0)): undefined => {
    answered = true;
    socket.send(new TextEncoder().encode(`HTTP/1.0 ${status}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`));
    socket.send(body);
    socket.end();
  };

  const request = (text: string): undefined => {
    const [line = '', ...headers] = text.split('\r\n');
    const [, method, path] = /^([A-Z]+) \/(\S*) HTTP\/1\.[01]$/.exec(line) ?? [];
    const name = path === undefined ? null : decode(path);
    if (method === undefined || name === null || name === '') return answer('400 Bad Request');
    if (method === 'GET') {
      const file = store.files.get(name);
      return file === undefined ? answer('404 Not Found') : answer('200 OK', file);
    }
    if (method !== 'PUT' && method !== 'POST') return answer('501 Not Implemented');
    const field = headers.find((header) => /^content-length:/i.test(header));
    if (field === undefined) return answer('411 Length Required');
    const length = /^\d{1,15}$/.exec(field.slice(field.indexOf(':') + 1).trim());
    if (length === null) return answer('400 Bad Request');
    if (!store.reserve(name, Number(length[0]))) return answer('507 Insufficient Storage');
    upload = { name, data: new Uint8Array(Number(length[0])), filled: 0 };
  };

  const body = (bytes: Uint8Array): undefined => {
    if (upload === null) return;
    const { name, data } = upload;
    const part = bytes.subarray(0, data.length - upload.filled);
    data.set(part, upload.filled);
    upload.filled += part.length;
    if (upload.filled < data.length) return;
    upload = null;
    store.keep(name, data, data.length);
    answer('201 Created');
  };

  return {
    receive(bytes) {
      if (answered) return;
      if (upload !== null) return body(bytes);
      head = Uint8Array.from([...head, ...bytes]);
      const end = endOfHead(head);
      if (end < 0) return head.length > HEAD_MAX ? answer('431 Request Header Fields Too Large') : undefined;
      request(new TextDecoder().decode(head.subarray(0, end)));
      body(head.subarray(end + END_OF_HEAD.length));
    },
    closed() {
      if (upload !== null) store.release(upload.data.length);
      upload = null;
    },
  };
}

/** A path's name; `null` when it is badly encoded. */
function decode(path: string): string | null {
  try {
    return decodeURIComponent(path);
  } catch {
    return null;
  }
}

function endOfHead(bytes: Uint8Array): number {
  for (let i = 0; i + END_OF_HEAD.length <= bytes.length; i++) if (END_OF_HEAD.every((byte, j) => bytes[i + j] === byte)) return i;
  return -1;
}

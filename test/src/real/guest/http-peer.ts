/** A host's HTTP server that keeps files: the peer of guests on QEMU's own network. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Peer } from './traffic.ts';

/** Start a server. @returns how a guest on `-netdev user` reaches it, and how it ends */
export async function startHttpPeer(): Promise<{ readonly peer: Peer; readonly close: () => Promise<void> }> {
  const files = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const name = request.url ?? '';
      if (request.method === 'PUT') files.set(name, Buffer.concat(chunks));
      const file = files.get(name);
      const status = request.method === 'PUT' ? 201 : file === undefined ? 404 : 200;
      response.writeHead(status, { connection: 'close' }).end(request.method === 'GET' ? file : undefined);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    peer: { ip: '10.0.2.2', port: (server.address() as AddressInfo).port },
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
    }),
  };
}

// Serves HTTP by node:http, on connections that Portside lets in, counts and drains: over all cores, behind one port.
//   npx portside serve examples/http.ts --port 8080 --workers cores
//   curl http://127.0.0.1:8080/
//   curl --data-binary @mail.txt http://127.0.0.1:8080/
// Each answer says which thread gave it. To see them share a load: wrk -c 64 -d 5 http://127.0.0.1:8080/
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import type { Duplex } from 'node:stream';
import { threadId } from 'node:worker_threads';
import type { Connection } from 'portside';

const http = createServer((request, response) => {
  response.setHeader('X-Thread', threadId);
  // What is posted goes back as it comes, no faster than the client takes it.
  if (request.method === 'POST') pipeline(request, response, () => {});
  else response.end(`Hello, ${request.socket.remoteAddress ?? 'neighbour'}! This is thread ${threadId}.\n`);
});

const serve: (conn: Connection) => Promise<void> = handlerOf(http);
export default serve;

/** One client: its connection, and the responses that it waits for, the oldest first. */
interface Client {
  readonly conn: Connection;
  readonly open: Set<ServerResponse>;
}

/**
 * Has an HTTP server, which is not to listen, serve connections that stay Portside's, so that limits, deadlines, status and drain hold. A request is under way, and its
 * connection busy, from its first byte to the last one of the response.
 */
export function handlerOf(server: Server): (conn: Connection) => Promise<void> {
  const clients = new WeakMap<Duplex, Client>();
  // Node holds clients to headersTimeout and requestTimeout from here on.
  server.emit('listening');
  server.prependListener('request', (request, response) => {
    const { conn, open } = clients.get(request.socket)!;
    open.add(response);
    if (conn.draining.aborted) response.shouldKeepAlive = false;
    response.once('close', () => {
      open.delete(response);
      conn.busy = open.size > 0;
    });
  });
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    // Left to itself Node destroys the stream with the error, which resets the connection, and its answer is lost.
    const answering = [...clients.get(stream)!.open].some(({ headersSent }) => headersSent);
    if (answering || !stream.writable) stream.destroy();
    else stream.end(`HTTP/1.1 ${faults[error.code ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`);
    stream.once('finish', () => stream.destroy());
  });
  return async (conn) => {
    const stream = conn.toNodeStream();
    const open = new Set<ServerResponse>();
    clients.set(stream, { conn, open });
    stream.on('data', () => {
      conn.busy = true;
    });
    conn.draining.addEventListener('abort', () => {
      const last = [...open].at(-1);
      if (last !== undefined) last.shouldKeepAlive = false;
    });
    server.emit('connection', stream);
    await conn.closed;
  };
}

/** What is wrong with a request, by the code of Node's error. */
const faults: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
};

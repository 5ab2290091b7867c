import { lines } from '../../src/codec/lines.ts';
import type { Connection } from '../../src/net/connection.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import type { Handler } from '../../src/server/handler.ts';

/** Answers each line by itself, as the harness asks: one handler of each shape. */
export const echoes: Readonly<Record<'function' | 'protocol' | 'framed function' | 'framed protocol', Handler>> = {
  function: async (conn: Connection) => {
    for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) await conn.write(`${line}\n`);
  },
  protocol: { data: (conn: Connection, bytes: Uint8Array) => void conn.write(bytes) },
  'framed function': defineHandler(lines(), async (frames) => {
    for await (const line of frames) await frames.send(line);
  }),
  'framed protocol': defineHandler(lines(), { frame: (conn, line) => void conn.write(`${line}\n`) }),
};

/** Echo, or broadcast when BROADCAST is set, on `Deno.listen`. Run by Deno. */
import { announce, port } from './control.ts';

interface Conn {
  /** Reads into the buffer; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
  setNoDelay(on: boolean): void;
}

type Listener = AsyncIterable<Conn> & { readonly addr: { readonly port: number } };

const { Deno } = globalThis as unknown as { Deno: { listen(options: { hostname: string; port: number }): Listener } };
/** What each connection reads into, for as long as it lives: Deno has callers bring it. */
const BUFFER = Number(process.env.BUFFER ?? 65_536);
const broadcasting = process.env.BROADCAST !== undefined;
const members = new Set<Conn>();

async function writeAll(conn: Conn, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length;) from += await conn.write(from === 0 ? bytes : bytes.subarray(from));
}

async function serve(conn: Conn): Promise<void> {
  const buffer = new Uint8Array(BUFFER);
  try {
    conn.setNoDelay(true);
    for (;;) {
      const count = await conn.read(buffer);
      if (count === null) break;
      const bytes = buffer.subarray(0, count);
      if (broadcasting) await Promise.all([...members].map((member) => writeAll(member, bytes)));
      else await writeAll(conn, bytes);
    }
  } catch {
    // The peer's doing.
  }
  members.delete(conn);
  conn.close();
}

const listener = Deno.listen({ hostname: '127.0.0.1', port });
announce(listener.addr.port);
for await (const conn of listener) {
  if (broadcasting) members.add(conn);
  void serve(conn);
}

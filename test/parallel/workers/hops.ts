import type { Connection } from '../../../src/net/connection.ts';
import { thisWorker } from '../../../src/parallel/receive-connections.ts';
import { isPortsideError } from '../../../src/base/errors.ts';

const me = thisWorker()!.index;
/** What became of the last that was handed over too late. */
let told = '';

/** What a connection takes along from worker to worker. */
export interface Trail {
  readonly path: readonly number[];
  readonly extra?: unknown;
}

/** The code of the error with which it is not handed over. */
async function refusal(conn: Connection, to: number, value?: unknown): Promise<string> {
  try {
    await conn.handOver(to, value);
    return 'none';
  } catch (error) {
    return isPortsideError(error) ? error.code : String(error);
  }
}

/** What was done with a line: `gone` when the connection is another worker's now. */
async function obey(conn: Connection, line: string): Promise<'gone' | 'here'> {
  const [command, first = '', ...rest] = line.split(' ');
  const before = (conn.handedOver?.value as Trail | undefined)?.path ?? [];
  switch (command) {
    case 'go': {
      const trail: Trail = { path: [...before, me], extra: rest.length === 0 ? undefined : JSON.parse(rest.join(' ')) };
      try {
        await conn.handOver(Number(first), trail);
        return 'gone';
      } catch (error) {
        await conn.write(`${isPortsideError(error) ? error.code : String(error)}\n`);
        return 'here';
      }
    }
    case 'reading': {
      const read = conn.read();
      const code = await refusal(conn, 1);
      await conn.write(`${code}\n`);
      conn.unread((await read)!);
      return 'here';
    }
    case 'value': {
      const values: Record<string, unknown> = {
        function: () => {},
        large: new Uint8Array(1_048_576),
        symbol: Symbol('s'),
      };
      const code = await refusal(conn, 1, values[first]);
      await conn.write(`${code}\n`);
      return 'here';
    }
    case 'half':
      await conn.closeWrite();
      told = await refusal(conn, 1);
      return 'here';
    case 'late':
      await conn.close();
      told = await refusal(conn, 1);
      return 'gone';
    case 'told':
      await conn.write(`${told}\n`);
      return 'here';
    case 'flood':
      conn.write(new Uint8Array(Number(first))).catch(() => {});
      return 'here';
    case 'where':
      await conn.write(`${me}\n`);
      return 'here';
    case 'trail': {
      const { handedOver } = conn;
      await conn.write(`${JSON.stringify({ me, ...handedOver })}\n`);
      return 'here';
    }
    case 'peer': {
      const { remote, proxy, bytesRead, bytesWritten } = conn;
      await conn.write(
        `${JSON.stringify({ me, remote, command: proxy?.command, tlvs: proxy?.tlvs.length, bytesRead, bytesWritten })}\n`,
      );
      return 'here';
    }
    case 'exit':
      process.exit(3);
      return 'gone';
    case 'wait':
      conn.busy = true;
      await conn.write('waiting\n');
      await new Promise((resolve) => conn.draining.addEventListener('abort', resolve));
      conn.busy = false;
      return obey(conn, `go ${first}`);
    default:
      await conn.write(`${line}\n`);
      return 'here';
  }
}

export default async function hops(conn: Connection): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine())
    if ((await obey(conn, line)) === 'gone') return;
}

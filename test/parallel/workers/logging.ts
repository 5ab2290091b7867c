import { connect } from 'portside';
import type { Connection, Context } from 'portside';

/** Writes to the log what it is told, and does what some lines ask for. */
export default async function logging(conn: Connection, { log }: Context): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line.startsWith('to ')) return conn.handOver(Number(line.slice(3)), null);
    if (line === 'fail') throw new Error('asked to fail');
    if (line === 'upstream') await connect({ path: '/portside/where/nobody/listens' });
    if (line === 'die') {
      for (let i = 0; i < 50; i += 1) log.info({ i }, 'last words');
      process.exit(3);
    }
    log.debug('not written');
    log.info({ line, fn: () => 1, bytes: new Uint8Array(3), conn: 'forged', worker: 'forged' }, 'said');
    await conn.write(`${line}!\n`);
  }
}

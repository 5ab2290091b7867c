/** What the threads of `portside-parallel.ts` run: echo as a protocol. */
import type { Protocol } from '../../src/index.ts';

const handler: Protocol = {
  data(conn, chunk) {
    void conn.write(chunk);
  },
};

export default handler;

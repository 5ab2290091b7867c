import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { CrewWorker } from '../../src/parallel/crew-worker.ts';
import { HandOvers } from '../../src/parallel/hand-overs.ts';
import { loadNative } from '../../src/transport/native/load.ts';
import { nativeTransport } from '../../src/transport/native/transport.ts';
import type { PassageTicket } from '../../src/transport/passage.ts';

const skip = 'addon' in loadNative() ? false : 'the native core is not built';
const core = new URL('../../src/transport/native/transport.ts', import.meta.url).href;

const giver = `
  const { parentPort } = await import('node:worker_threads');
  const { nativeTransport } = await import(${JSON.stringify(core)});
  const { ticket, transfer } = nativeTransport().passages.passage(4);
  parentPort.postMessage(ticket, [...transfer]);`;

describe('a worker that ends as soon as it is ready', () => {
  // Its way out comes by a message, its end by an event; under load the thread is over when the first of them is heard.
  for (const gone of [false, true])
    test(`has no way out, ${gone ? 'and its end was' : 'though its end was not yet'} heard of`, { skip }, async () => {
      const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(giver)}`));
      const [[ticket]] = (await Promise.all([once(thread, 'message'), once(thread, 'exit')])) as [
        [PassageTicket],
        unknown,
      ];
      const never = (): never => assert.fail('nothing came');
      const host = { serving: [], left: never, pass: never, refuse: never, trouble: never };
      const overs = new HandOvers(nativeTransport(), 4, null, host);
      const worker = { thread: { gone } } as CrewWorker;
      overs.meet(worker, ticket);
      assert.equal(overs.busy, false);
      overs.part(worker);
    });
});

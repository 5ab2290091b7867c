// A client for space-chat.ts: what is typed goes out, what comes is shown. The terminal's lines are a source of events, and the
// connection is there because somebody wants it.
//   node examples/space-chat-client.ts            (PORT=5999 by default, where space-chat.ts runs)
import { createInterface } from 'node:readline';
import {
  Dataspace,
  _,
  eventDriver,
  sourceEvent,
  tcpAddress,
  tcpChannel,
  tcpDriver,
  tcpFailed,
  tcpHandle,
} from 'portside/dataspace';
import type { EndpointHandle } from 'portside/dataspace';

const server = tcpAddress('127.0.0.1', Number(process.env['PORT'] ?? 5999));
const me = tcpHandle('outbound');

const space = new Dataspace();
space.spawn(tcpDriver());
space.spawn(eventDriver({ terminal: () => createInterface({ input: process.stdin }) }));
space.spawn((self) => {
  const talk: EndpointHandle = self.publish(tcpChannel(me, server, _), {
    // Nothing is typed into the void.
    onPresence: () =>
      self.subscribe(sourceEvent('terminal', _), {
        onMessage: ({ topic: { value } }) =>
          typeof value === 'string' && self.send(tcpChannel(me, server, `${value}\n`)),
        onAbsence: () => talk.withdraw(),
      }),
  });
  self.subscribe(tcpChannel(server, me, _), {
    onMessage: ({ topic: { body } }) => body instanceof Uint8Array && process.stdout.write(body),
    onAbsence: () => space.end(),
  });
  self.subscribe(tcpFailed(me, server, _, _), {
    onPresence: ({ topic }) => {
      console.error(topic.message);
      process.exitCode = 1;
      space.end();
    },
  });
});
await space.run();

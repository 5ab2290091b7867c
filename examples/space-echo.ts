// Sends back what it gets, by actors: one watches for clients, and starts another one for each.
//   node examples/space-echo.ts            (PORT=5999 by default)
//   nc -N 127.0.0.1 5999
import { Dataspace, _, tcpBound, tcpChannel, tcpDriver, tcpFailed, tcpListener } from 'portside/dataspace';
import type { Boot, TcpPeer } from 'portside/dataspace';

const here = tcpListener(Number(process.env['PORT'] ?? 5999), { host: '127.0.0.1' });

/** Says what its client says, the end too. */
const echo =
  (client: TcpPeer): Boot =>
  (self) => {
    self.publish(tcpChannel(here, client, _));
    self.subscribe(tcpChannel(client, here, _), {
      onMessage: ({ topic }) => self.send(tcpChannel(here, client, topic.body)),
      onAbsence: () => self.quit(),
    });
  };

const space = new Dataspace();
space.spawn(tcpDriver());
space.spawn((self) => {
  self.subscribe(tcpBound(here, _), {
    onPresence: ({ topic: { address } }) => console.log(`echo: nc -N ${address.host} ${address.port}`),
  });
  self.subscribe(tcpFailed(here, null, _, _), {
    onPresence: ({ topic }) => {
      console.error(topic.message);
      process.exitCode = 1;
      space.end();
    },
  });
  self.observePublishers(tcpChannel(_, here, _), {
    onPresence: ({ topic }) => self.spawn(echo(topic.source)),
  });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => space.end());
await space.run();

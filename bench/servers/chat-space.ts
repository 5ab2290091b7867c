/** A chat in a dataspace: an actor for each member, who says what its client says and hears what all say. NESTED: among themselves. */
import { Dataspace, _, record, tcpBound, tcpChannel, tcpDriver, tcpListener } from '../../src/dataspace.ts';
import type { Boot, OuterSpace, Self, TcpPeer } from '../../src/dataspace.ts';
import { announce, port, transportName } from './control.ts';

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();
const here = tcpListener(port, { host: '127.0.0.1' });
const nested = process.env['NESTED'] === '1';
const outside = (self: Self): Self | OuterSpace => (nested ? self.atMeta : self);

const member =
  (client: TcpPeer, me: string): Boot =>
  (self) => {
    const out = outside(self);
    const text = new TextDecoder();
    let rest = '';
    self.subscribe(says(_, _), {
      onMessage: ({ topic: { who, what } }) => out.send(tcpChannel(here, client, `${who}: ${what}\n`)),
    });
    out.publish(tcpChannel(here, client, _));
    out.subscribe(tcpChannel(client, here, _), {
      onMessage: ({ topic: { body } }) => {
        if (!(body instanceof Uint8Array)) return;
        const lines = (rest + text.decode(body, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) self.send(says(me, line));
      },
      onAbsence: () => self.quit(),
    });
  };

const room: Boot = (self) => {
  let count = 0;
  outside(self).observePublishers(tcpChannel(_, here, _), {
    onPresence: ({ topic }) => {
      count += 1;
      self.spawn(member(topic.source, `user${count}`));
    },
  });
};

const space = new Dataspace();
space.spawn(tcpDriver({ transport: transportName() }));
space.spawn((self) => self.subscribe(tcpBound(here, _), { onPresence: ({ topic }) => announce(topic.address.port) }));
space.spawn((self) => (nested ? self.spawnSpace(room) : room(self)));
await space.run();

// A chat room by actors that meet by topic. Whoever comes is given a name and told who else is there; what somebody sends is told to
// all, as it comes.
//   node examples/space-chat.ts            (PORT=5999 by default)
//   nc -N 127.0.0.1 5999
// The members are a space of their own: who is there and who says what is known among them alone, by presence and by messages. Where
// they ask for something at the level around, it is for the driver, and what a member has there goes when the member does.
import { Dataspace, _, record, tcpBound, tcpChannel, tcpDriver, tcpFailed, tcpListener } from 'portside/dataspace';
import type { Boot, TcpPeer } from 'portside/dataspace';

const says = record('says', ['who', 'what']).of<{ who: string; what: string }>();
const here = tcpListener(Number(process.env['PORT'] ?? 5999), { host: '127.0.0.1' });

/** One member: its client's words to the others, and theirs to its client. */
const member =
  (client: TcpPeer, me: string): Boot =>
  (self) => {
    // Bytes come as they come; a character may come in two pieces.
    const text = new TextDecoder();
    const tell = (what: string): void => self.atMeta.send(tcpChannel(here, client, what));
    tell(`You are ${me}.\n`);
    self.publish(says(me, _));
    self.subscribe(says(_, _), {
      onPresence: ({ topic: { who } }) => who !== me && tell(`${who} arrived.\n`),
      onAbsence: ({ topic: { who } }) => tell(`${who} departed.\n`),
      onMessage: ({ topic: { who, what } }) => tell(`${who}: ${what}`),
    });
    self.atMeta.publish(tcpChannel(here, client, _));
    self.atMeta.subscribe(tcpChannel(client, here, _), {
      onMessage: ({ topic: { body } }) => {
        if (body instanceof Uint8Array) self.send(says(me, text.decode(body, { stream: true })));
      },
      onAbsence: () => self.quit(),
    });
  };

/** userA, userB, …, userZ, userAA, … */
function* names(): Generator<string, never> {
  const letters = (n: number): string =>
    (n < 26 ? '' : letters(Math.floor(n / 26) - 1)) + String.fromCodePoint(65 + (n % 26));
  for (let n = 0; ; n += 1) yield `user${letters(n)}`;
}

const room: Boot = (self) => {
  const free = names();
  self.atMeta.observePublishers(tcpChannel(_, here, _), {
    onPresence: ({ topic }) => self.spawn(member(topic.source, free.next().value)),
  });
};

const space = new Dataspace({
  onActorEnd: ({ reason }) => {
    if (reason.kind === 'failed') console.error(reason.error.stack);
  },
});
space.spawn(tcpDriver());
space.spawn((self) => self.spawnSpace(room, { name: 'room' }));
space.spawn((self) => {
  self.subscribe(tcpBound(here, _), {
    onPresence: ({ topic: { address } }) => console.log(`chat: nc -N ${address.host} ${address.port}`),
  });
  self.subscribe(tcpFailed(here, null, _, _), {
    onPresence: ({ topic }) => {
      console.error(topic.message);
      process.exitCode = 1;
      space.end();
    },
  });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => space.end());
await space.run();

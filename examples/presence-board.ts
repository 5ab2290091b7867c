// Who is connected, live, to everybody who is: presence, and nothing else. A client's actor publishes that it is here,
// and shows its client who else does: first all who are, then each who comes (+) and who goes (-). Nobody keeps a list or
// tells the others that he leaves: when a connection ends its actor does, and what it published is gone with it.
//   node examples/presence-board.ts            (PORT=7200 by default)
//   nc 127.0.0.1 7200
// The line "name ann" gives one a name.
import {
  _,
  Dataspace,
  record,
  tcpBound,
  tcpChannel,
  tcpCredit,
  tcpDriver,
  tcpFailed,
  tcpListener,
  tcpMode,
} from 'portside/dataspace';
import type { Boot, TcpListener, TcpPeer } from 'portside/dataspace';

/** Published by whoever is here. */
const here = record('here', ['guest', 'name']).of<{ guest: number; name: string }>();

/** Guests at once. */
const MOST = 200;
const LONGEST_NAME = 32;
/** Bytes that a guest may leave unread before he has to go. */
const MOST_UNREAD = 65_536;

function board(local: TcpListener): Boot {
  return (self) => {
    let guests = 0;
    let number = 0;
    self.observePublishers(tcpChannel(_, local, _), {
      onPresence: ({ topic: { source } }) => {
        number += 1;
        guests += 1;
        const onEnd = (): void => {
          guests -= 1;
        };
        self.spawnLinked(guests > MOST ? turnAway(source, local) : guest(number, source, local), { onEnd });
      },
    });
  };
}

function turnAway(remote: TcpPeer, local: TcpListener): Boot {
  return (self) => {
    self.publish(tcpChannel(local, remote, _), {
      onPresence: () => {
        self.send(tcpChannel(local, remote, 'There is no place left.\n'));
        self.quit('full');
      },
    });
  };
}

function guest(number: number, remote: TcpPeer, local: TcpListener): Boot {
  return (self) => {
    let unread = 0;
    const show = (line: string): void => {
      const text = `${line}\n`;
      unread += Buffer.byteLength(text);
      if (unread > MOST_UNREAD) self.quit('reads nothing');
      else self.send(tcpChannel(local, remote, text));
    };
    // The same endpoint with another name: who had the old one goes, and who has the new one comes.
    const appear = (name: string): void => void self.publish(here(number, name), {}, { name: 'me' });

    self.publish(tcpChannel(local, remote, _), {
      onPresence: () => {
        self.observePublishers(here(_, _), {
          onPresence: ({ topic: { guest: who, name } }) => show(`+ ${name}${who === number ? ' (you)' : ''}`),
          onAbsence: ({ topic: { name } }) => show(`- ${name}`),
        });
        appear(`guest ${number}`);
      },
      onMessage: ({ topic: { body } }) => {
        if (tcpCredit.is(body)) unread -= body.amount;
      },
      onAbsence: () => self.quit('gone'),
    });

    const read = (): void => self.feedback(tcpChannel(remote, local, tcpCredit(1)));
    self.subscribe(tcpChannel(remote, local, _), {
      onPresence: () => {
        self.feedback(tcpChannel(remote, local, tcpMode('lines')));
        read();
      },
      onMessage: ({ topic: { body } }) => {
        if (!(body instanceof Uint8Array)) return;
        const [, name] = /^name (.*)$/u.exec(Buffer.from(body).toString('utf8').trim()) ?? [];
        if (name === undefined) show('Say "name", and yours.');
        else
          appear(
            name
              .replaceAll(/\p{Cc}/gu, ' ')
              .trim()
              .slice(0, LONGEST_NAME),
          );
        read();
      },
      onAbsence: () => self.quit('gone'),
    });
  };
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
const space = new Dataspace({ signal: stop.signal });
space.spawn(tcpDriver());
space.spawn((self) => {
  const local = tcpListener(Number(process.env['PORT'] ?? 7_200), { host: '127.0.0.1', credit: true });
  self.spawnLinked(board(local));
  self.observePublishers(tcpBound(local, _), {
    onPresence: ({ topic: { address } }) => console.log(`Come and see who is here: nc 127.0.0.1 ${address.port}`),
  });
  self.observePublishers(tcpFailed(local, null, _, _), {
    onPresence: ({ topic: { message } }) => {
      console.error(message);
      process.exitCode = 1;
      stop.abort();
    },
  });
});
await space.run();

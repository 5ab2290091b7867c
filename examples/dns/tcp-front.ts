import { _, tcpChannel, tcpCredit } from 'portside/dataspace';
import type { Boot, TcpListener, TcpPeer } from 'portside/dataspace';
import { Desk } from './desk.ts';
import { framed, FrameReader } from './frames.ts';
import { later } from './later.ts';
import { MOST_CONNECTIONS, MOST_PIPELINED, MOST_UNTAKEN, PATIENCE_WITH_CLIENTS } from './limits.ts';
import type { Waiting } from './waiting.ts';

/** The longest that a message can be behind two bytes that say how long it is. */
const LONGEST = 65_535;

/** Takes questions by TCP: an actor for each client. `local` reads by credit. */
export function tcpFront(local: TcpListener, waiting: Waiting): Boot {
  return (self) => {
    let connections = 0;
    self.observePublishers(tcpChannel(_, local, _), {
      onPresence: ({ topic: { source } }) => {
        connections += 1;
        const boot = connections > MOST_CONNECTIONS ? turnAway(source, local) : tcpClient(source, local, waiting);
        const onEnd = (): void => {
          connections -= 1;
        };
        self.spawnLinked(boot, { name: 'dns client', onEnd });
      },
    });
  };
}

/** Who takes part in a connection and leaves again has closed it. */
function turnAway(remote: TcpPeer, local: TcpListener): Boot {
  return (self) => {
    self.publish(tcpChannel(local, remote, _), { onPresence: () => self.quit('too many') });
  };
}

function tcpClient(remote: TcpPeer, local: TcpListener, waiting: Waiting): Boot {
  return (self) => {
    const desk = new Desk(self, waiting);
    const frames = new FrameReader((amount) => self.feedback(tcpChannel(remote, local, tcpCredit(amount))));
    let untaken = 0;
    let ended = false;
    let idle = later(self, PATIENCE_WITH_CLIENTS, () => self.quit('idle'));

    const goOn = (): void => {
      idle.cancel();
      if (ended && desk.open === 0) {
        self.quit('all said');
        return;
      }
      idle = later(self, PATIENCE_WITH_CLIENTS, () => self.quit('idle'));
      if (!ended && desk.open < MOST_PIPELINED && untaken < MOST_UNTAKEN) frames.next();
    };
    const asker = {
      limit: () => LONGEST,
      reply: (answer: Uint8Array): void => {
        const bytes = framed(answer);
        untaken += bytes.length;
        self.send(tcpChannel(local, remote, bytes));
        goOn();
      },
    };

    self.publish(tcpChannel(local, remote, _), {
      onMessage: ({ topic: { body } }) => {
        if (!tcpCredit.is(body)) return;
        untaken -= body.amount;
        goOn();
      },
      onAbsence: () => self.quit('gone'),
    });
    self.subscribe(tcpChannel(remote, local, _), {
      onPresence: goOn,
      onMessage: ({ topic: { body } }) => {
        const message = body instanceof Uint8Array ? frames.take(body) : null;
        // What is not even refused is none of ours to talk with.
        if (message !== null && !desk.take(message, asker)) self.quit('garbage');
        else if (message !== null) goOn();
      },
      onAbsence: () => {
        ended = true;
        goOn();
      },
    });
  };
}

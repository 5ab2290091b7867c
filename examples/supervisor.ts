// A supervisor that keeps three workers alive. It wants their work, and that is demand; a matcher starts a worker where
// there is none, again after a while when one fails, and gives one up that fails too often. Who connects sees what
// became of each, and may meddle with it.
//   node examples/supervisor.ts            (PORT=7300 by default)
//   nc 127.0.0.1 7300
// The lines "kill ann" and "again ann" make a worker fail, and give one that was given up another chance. Now and then one
// fails by itself: RISK=0.1 for each of its steps by default, of which it takes one per second.
import {
  _,
  capture,
  Dataspace,
  matchDemand,
  publishersOf,
  record,
  setTimer,
  subscribersOf,
  tcpBound,
  tcpChannel,
  tcpCredit,
  tcpDriver,
  tcpFailed,
  tcpListener,
  tcpMode,
  timerDriver,
  timerExpired,
} from 'portside/dataspace';
import type { Boot, EndpointHandle, EndReason, TcpListener, TcpPeer } from 'portside/dataspace';

const NAMES = ['ann', 'bob', 'cid'];
const RISK = Number(process.env['RISK'] ?? 0.1);
const STEP = 1_000;
/** Five failures within ten seconds are one too many. */
const RESTART = { delay: 100, maxDelay: 1_000, limit: 4, within: 10_000 };
const MOST_WATCHERS = 100;
/** Bytes that a watcher may leave unread before he has to go. */
const MOST_UNREAD = 65_536;

/** Subscribed to by who wants it done, published by who does it. */
const work = record('work', ['worker', 'steps']).of<{ worker: string; steps: number }>();
/** Published for a worker that failed too often. */
const givenUp = record('given-up', ['worker', 'why']).of<{ worker: string; why: string }>();
/** Said by who watches. */
const order = record('order', ['what', 'worker']).of<{ what: string; worker: string }>();

function worker(name: string): Boot {
  return (self) => {
    let steps = 0;
    self.publish(work(name, _));
    self.subscribe(order('kill', name), {
      onMessage: () => {
        throw new Error('killed');
      },
    });
    const step = ['step', self.id];
    self.subscribe(timerExpired(step, _), {
      onMessage: () => {
        if (Math.random() < RISK) throw new Error('bad luck');
        steps += 1;
        self.send(work(name, steps));
        self.send(setTimer(step, STEP, 'relative'));
      },
    });
    self.send(setTimer(step, STEP, 'relative'));
  };
}

const supervisor: Boot = (self) => {
  matchDemand(self, {
    demand: subscribersOf(work(capture('name'), _)),
    supply: publishersOf(work(capture('name'), _)),
    start: (task, { bindings }) => worker(bindings.name)(task),
    giveUp: (reason, { bindings }) => self.publish(givenUp(bindings.name, sayWhy(reason))),
    restart: RESTART,
  });
  for (const name of NAMES) {
    let want: EndpointHandle | null = self.subscribe(work(name, _));
    let isGivenUp = false;
    self.observePublishers(givenUp(name, _), {
      onPresence: () => {
        isGivenUp = true;
      },
      // What was given up is forgotten when nobody wants it any more, and then it can be wanted again.
      onAbsence: () => {
        isGivenUp = false;
        want ??= self.subscribe(work(name, _));
      },
    });
    self.subscribe(order('again', name), {
      onMessage: () => {
        if (!isGivenUp) return;
        want?.withdraw();
        want = null;
      },
    });
  }
};

function sayWhy(reason: EndReason): string {
  return reason.kind === 'failed' ? reason.error.message : reason.kind;
}

/** Shows a client what becomes of the workers, and passes on what it orders. It observes: to subscribe would be demand. */
function watcher(remote: TcpPeer, local: TcpListener): Boot {
  return (self) => {
    let unread = 0;
    const show = (line: string): void => {
      const text = `${line}\n`;
      unread += Buffer.byteLength(text);
      if (unread > MOST_UNREAD) self.quit('reads nothing');
      else self.send(tcpChannel(local, remote, text));
    };
    const read = (): void => self.feedback(tcpChannel(remote, local, tcpCredit(1)));

    self.publish(tcpChannel(local, remote, _), {
      onPresence: () => {
        self.observePublishers(work(_, _), {
          onPresence: ({ topic }) => show(`${topic.worker} works`),
          onMessage: ({ topic }) => show(`${topic.worker} did step ${topic.steps}`),
          onAbsence: ({ topic, reason }) => show(`${topic.worker} has stopped: ${sayWhy(reason)}`),
        });
        self.observePublishers(givenUp(_, _), {
          onPresence: ({ topic }) => show(`${topic.worker} is given up: ${topic.why}`),
        });
      },
      onMessage: ({ topic: { body } }) => {
        if (tcpCredit.is(body)) unread -= body.amount;
      },
      onAbsence: () => self.quit('gone'),
    });
    self.subscribe(tcpChannel(remote, local, _), {
      onPresence: () => {
        self.feedback(tcpChannel(remote, local, tcpMode('lines')));
        read();
      },
      onMessage: ({ topic: { body } }) => {
        if (!(body instanceof Uint8Array)) return;
        const [what = '', name = ''] = Buffer.from(body).toString('utf8').trim().split(' ');
        if (NAMES.includes(name) && (what === 'kill' || what === 'again')) self.send(order(what, name));
        else show(`Say "kill" or "again", and one of ${NAMES.join(', ')}.`);
        read();
      },
      onAbsence: () => self.quit('gone'),
    });
  };
}

function turnAway(remote: TcpPeer, local: TcpListener): Boot {
  return (self) => {
    self.publish(tcpChannel(local, remote, _), { onPresence: () => self.quit('full') });
  };
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
const space = new Dataspace({ signal: stop.signal });
space.spawn(tcpDriver());
space.spawn(timerDriver());
space.spawn(supervisor);
space.spawn((self) => {
  const local = tcpListener(Number(process.env['PORT'] ?? 7_300), { host: '127.0.0.1', credit: true });
  let watchers = 0;
  self.observePublishers(tcpChannel(_, local, _), {
    onPresence: ({ topic: { source } }) => {
      watchers += 1;
      const onEnd = (): void => {
        watchers -= 1;
      };
      self.spawnLinked(watchers > MOST_WATCHERS ? turnAway(source, local) : watcher(source, local), { onEnd });
    },
  });
  self.observePublishers(tcpBound(local, _), {
    onPresence: ({ topic: { address } }) => console.log(`Watch them work: nc 127.0.0.1 ${address.port}`),
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

import { randomInt } from 'node:crypto';
import { _, tcpAddress, tcpChannel, tcpCredit, tcpFailed, tcpHandle } from 'portside/dataspace';
import type { Boot } from 'portside/dataspace';
import { framed, FrameReader } from './frames.ts';
import { later } from './later.ts';
import { isAnswerTo, writeQuery } from './message.ts';
import { PATIENCE_BY_TCP } from './limits.ts';
import type { DnsServer, DnsQuestion } from './topics.ts';

/** Asks a server by TCP, where an answer may be as long as it has to be. It quits as its sibling does. */
export function askByTcp({ host, port }: DnsServer, question: DnsQuestion, edns: boolean): Boot {
  return (self) => {
    const local = tcpHandle(['dns', self.id], { credit: true });
    const remote = tcpAddress(host, port);
    const query = writeQuery(randomInt(0x1_0000), question, edns);
    const timer = later(self, PATIENCE_BY_TCP, () => self.quit('it did not answer in time'));
    const end = (result: Uint8Array | string): void => {
      timer.cancel();
      self.quit(result);
    };
    const frames = new FrameReader((amount) => self.feedback(tcpChannel(remote, local, tcpCredit(amount))));
    self.publish(tcpChannel(local, remote, _), {
      onPresence: () => {
        self.send(tcpChannel(local, remote, framed(query)));
        frames.next();
      },
    });
    self.subscribe(tcpChannel(remote, local, _), {
      onMessage: ({ topic: { body } }) => {
        const message = body instanceof Uint8Array ? frames.take(body) : null;
        if (message === null) return;
        if (isAnswerTo(query, message)) end(message);
        else end('it answered something else');
      },
      onAbsence: () => end('it has hung up'),
    });
    self.observePublishers(tcpFailed(local, remote, _, _), { onPresence: ({ topic }) => end(topic.message) });
  };
}

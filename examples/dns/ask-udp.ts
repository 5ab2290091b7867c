import { randomInt } from 'node:crypto';
import { _, udpAddress, udpBound, udpFailed, udpHandle, udpPacket } from 'portside/dataspace';
import type { Boot } from 'portside/dataspace';
import { later } from './later.ts';
import { isAnswerTo, writeQuery } from './message.ts';
import type { DnsServer, DnsQuestion } from './topics.ts';

/**
 * Asks a server once, from a port of its own and with an id of its own, so that nobody who can't see the question can
 * answer in the server's place. It quits with the answer, or with what went wrong instead.
 */
export function askByUdp({ host, port }: DnsServer, question: DnsQuestion, edns: boolean, patience: number): Boot {
  return (self) => {
    const local = udpHandle(['dns', self.id]);
    const remote = udpAddress(host, port);
    const query = writeQuery(randomInt(0x1_0000), question, edns);
    const timer = later(self, patience, () => self.quit('it said nothing'));
    const end = (result: Uint8Array | string): void => {
      timer.cancel();
      self.quit(result);
    };
    // What comes from elsewhere is for nobody: the topic says from whom.
    self.subscribe(udpPacket(remote, local, _), {
      onMessage: ({ topic: { body } }) => {
        if (isAnswerTo(query, body)) end(body);
      },
    });
    self.observePublishers(udpBound(local, _), { onPresence: () => self.send(udpPacket(local, remote, query)) });
    self.subscribe(udpFailed(local, _, _, _), {
      onPresence: ({ topic }) => end(topic.message),
      onMessage: ({ topic }) => end(topic.message),
    });
  };
}

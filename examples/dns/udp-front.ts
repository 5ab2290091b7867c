import { _, udpPacket } from 'portside/dataspace';
import type { Boot, UdpListener } from 'portside/dataspace';
import { Desk } from './desk.ts';
import { EDNS_SIZE, PLAIN_SIZE } from './message.ts';
import type { Message } from './message.ts';
import type { Waiting } from './waiting.ts';

/** Takes questions by UDP. */
export function udpFront(local: UdpListener, waiting: Waiting): Boot {
  return (self) => {
    const desk = new Desk(self, waiting);
    self.subscribe(udpPacket(_, local, _), {
      onMessage: ({ topic: { source, body } }) => {
        desk.take(body, { limit, reply: (answer) => self.send(udpPacket(local, source, answer)) });
      },
    });
  };
}

function limit({ edns }: Message): number {
  return edns === null ? PLAIN_SIZE : Math.min(Math.max(edns.size, PLAIN_SIZE), EDNS_SIZE);
}

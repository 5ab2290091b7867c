import type { Boot, EndReason, Self } from 'portside/dataspace';
import { askByTcp } from './ask-tcp.ts';
import { askByUdp } from './ask-udp.ts';
import { PATIENCE_BY_UDP } from './limits.ts';
import { codeFor, FLAG, isMisunderstood, keep, RCODE, rcodeOf, readHeader, readMessage } from './message.ts';
import type { Message } from './message.ts';
import { dnsAnswered } from './topics.ts';
import type { DnsQuestion, DnsServer } from './topics.ts';

/**
 * Sees to it that a question has an answer: asks one server after the other, each a few times, and publishes what it
 * learned for as long as somebody wants it. Each try is an actor, which takes its socket and its timer with it.
 */
export function forwarder(question: DnsQuestion, servers: readonly DnsServer[]): Boot {
  return (self) => new Forwarding(self, question, servers).begin();
}

class Forwarding {
  readonly #self: Self;
  readonly #question: DnsQuestion;
  readonly #servers: readonly DnsServer[];
  #server = 0;
  #tries = 0;
  #edns = true;

  constructor(self: Self, question: DnsQuestion, servers: readonly DnsServer[]) {
    this.#self = self;
    this.#question = question;
    this.#servers = servers;
  }

  begin(): void {
    const server = this.#servers[this.#server];
    if (server === undefined) {
      this.#publish(codeFor(this.#question, RCODE.SERVFAIL));
      return;
    }
    const patience = PATIENCE_BY_UDP[this.#tries];
    if (patience === undefined) {
      this.#nextServer();
      return;
    }
    this.#tries += 1;
    this.#try(askByUdp(server, this.#question, this.#edns, patience), (answer) => {
      if (answer === null) this.begin();
      else if (((readHeader(answer)?.flags ?? 0) & FLAG.TC) === 0) this.#hear(answer);
      else this.#try(askByTcp(server, this.#question, this.#edns), (whole) => this.#hear(whole));
    });
  }

  #try(boot: Boot, then: (answer: Uint8Array | null) => void): void {
    this.#self.spawnLinked(boot, { name: 'dns try', onEnd: (reason) => then(answerOf(reason)) });
  }

  #hear(answer: Uint8Array | null): void {
    const header = answer === null ? null : readHeader(answer);
    const message = answer === null ? null : readMessage(answer);
    if (message !== null && isUseful(message)) this.#publish(keep(message));
    else if (header !== null && this.#edns && isMisunderstood(header)) {
      this.#edns = false;
      this.begin();
    } else this.#nextServer();
  }

  #nextServer(): void {
    this.#server += 1;
    this.#tries = 0;
    this.#edns = true;
    this.begin();
  }

  #publish(message: Uint8Array): void {
    this.#self.publish(dnsAnswered(this.#question, message, this.#self.clock.now()));
  }
}

function isUseful(message: Message): boolean {
  const code = rcodeOf(message);
  const isWhole = (message.header.flags & FLAG.TC) === 0;
  return isWhole && (code === RCODE.NOERROR || code === RCODE.NXDOMAIN);
}

function answerOf(reason: EndReason): Uint8Array | null {
  return reason.kind === 'quit' && reason.detail instanceof Uint8Array ? reason.detail : null;
}

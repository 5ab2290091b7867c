import { isUint8Array } from 'node:util/types';
import type { PortsideError } from '../../base/errors.ts';
import { show } from '../../base/show.ts';
import type { CloseReason } from '../../net/close-reason.ts';
import { link } from '../../net/connection.ts';
import type { Connection } from '../../net/connection.ts';
import type { Consumer } from '../../net/consumer.ts';
import { endOutput } from '../../net/half-close.ts';
import type { Link } from '../../net/link.ts';
import { Deadline } from '../../sync/deadline.ts';
import type { EndpointHandle } from '../endpoint.ts';
import { _ } from '../hole.ts';
import type { OutsideSource, Self } from '../self.ts';
import type { Datum } from '../topic-types.ts';
import { tcpChannel, tcpCredit, tcpEnd, tcpFailed } from './tcp-channel.ts';
import type { TcpLocal } from './tcp-channel.ts';
import { TcpCreditInput } from './tcp-credit-input.ts';
import { failureOf, lossOf, misuse } from './tcp-failure.ts';
import { TcpStream } from './tcp-input.ts';
import type { TcpInput, TcpInputHost } from './tcp-input.ts';
import { TcpOutputCredit } from './tcp-output-credit.ts';
import { tcpListener } from './tcp-places.ts';
import type { TcpListener, TcpPeer } from './tcp-places.ts';
import type { TcpSockets } from './tcp-sockets.ts';

/**
 * One open connection in the space: its two endpoints, in the hands of one actor.
 *
 * What happens, in the space or on the socket, is noted, and followed in a turn of its own, by what there is then: that one
 * turn comes after all that was told before it, so that a participant who takes another one's place finds the connection open.
 */
export class TcpLink implements Consumer, TcpInputHost {
  /**
   * Whether reading rests while the peer does not take what is sent: so that a client that takes nothing can't have more and
   * more kept for it. Not so on connections that are made, as two that rest wait for each other; nor with credit, which says
   * how much may be read.
   */
  readonly rests: boolean;
  readonly self: Self;
  readonly local: TcpLocal;
  readonly remote: TcpPeer;
  sight = 0;
  readonly #source: OutsideSource;
  readonly #inside: Link;
  readonly #sockets: TcpSockets;
  readonly #input: TcpInput;
  readonly #credit: TcpOutputCredit | null;
  #publisher: EndpointHandle | undefined;
  #subscriber: EndpointHandle | undefined;
  /** Participants in the space: those that send, and those that listen. */
  #senders = 0;
  #listeners = 0;
  /** Whether there was ever one that sends. */
  #hadSender = false;
  /** Until somebody has to be there; null where it is for others to say that nobody is. */
  #claim: Deadline | null = null;
  #claimed = false;
  #asked = false;
  #flowing = false;
  #peerEnd: 'none' | 'came' | 'told' = 'none';
  #outputEnded = false;
  /** It is being flushed and closed, and nobody in the space has anything to do with it any more. */
  #leaving = false;
  #reason: CloseReason | null = null;
  /** Turns until it is known again who listens. */
  #recounts = 0;

  constructor(
    self: Self,
    source: OutsideSource,
    connection: Connection,
    local: TcpLocal,
    remote: TcpPeer,
    sockets: TcpSockets,
  ) {
    this.self = self;
    this.#source = source;
    this.#inside = link(connection);
    this.local = local;
    this.remote = remote;
    this.#sockets = sockets;
    const { inputLimit, creditLimit } = sockets.settings;
    const stream = new TcpStream(this, inputLimit);
    this.rests = tcpListener.is(local) && !local.credit;
    this.#credit = local.credit ? new TcpOutputCredit(this.#inside) : null;
    this.#input = local.credit
      ? new TcpCreditInput(stream, { credit: creditLimit, line: inputLimit }, (error) => this.#fail(error))
      : stream;
  }

  /** Makes the endpoints, in a turn; false when the connection is over already. */
  open(): boolean {
    const inside = this.#inside;
    if (inside.closing) return false;
    for (const bytes of inside.consume(this)) this.#input.push(bytes);
    inside.hold(true);
    if (inside.peerEnded) this.end();
    const { self, remote } = this;
    const local = this.local as TcpListener;
    this.#publisher = self.publish(tcpChannel(remote, local, _), {
      onPresence: () => this.#look(0, 1),
      onAbsence: () => this.#look(0, -1),
      onMessage: ({ topic }) => this.#heard(topic.body),
    });
    this.#subscriber = self.subscribe(tcpChannel(local, remote, _), {
      onPresence: () => this.#look(1, 0),
      onAbsence: () => this.#look(-1, 0),
      onMessage: ({ topic }) => this.#write(topic.body),
    });
    return true;
  }

  /** Has it closed when nobody is there within so many milliseconds, and when the last one has gone. */
  claimWithin(ms: number): void {
    this.#claim = new Deadline(this.self.clock, () => this.#source.enter(() => this.#unclaimed(ms)));
    this.#claim.arm(ms);
  }

  /** Flushes and closes it, and then ends its actor. */
  stop(): void {
    this.#source.enter(() => this.#leave());
  }

  // ---- what the socket tells, outside of turns ----

  data(_connection: Connection, bytes: Uint8Array): void {
    this.#input.push(bytes);
    this.flow();
    this.soon();
  }

  end(): void {
    this.#peerEnd = 'came';
    this.#input.end();
    this.soon();
  }

  writable(): void {
    if (this.#credit?.due === true) this.soon();
  }

  close(_connection: Connection, reason: CloseReason): void {
    this.#reason = reason;
    this.#claim?.disarm();
    this.soon();
  }

  // ---- what the input asks for ----

  soon(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#source.enter(this.#follow);
  }

  flow(): void {
    const wanted = this.#listeners > 0 && this.#peerEnd === 'none' && !this.#leaving && this.#input.wants;
    if (wanted === this.#flowing) return;
    this.#flowing = wanted;
    if (!this.#leaving) this.#inside.hold(!wanted);
  }

  // ---- turns ----

  #look(senders: number, listeners: number): void {
    this.#senders += senders;
    this.#listeners += listeners;
    if (senders > 0) this.#hadSender = true;
    this.sight += 1;
    this.#claimed = true;
    this.#claim?.disarm();
    this.soon();
  }

  /** Does what follows from what there is now. */
  readonly #follow = (): void => {
    this.#asked = false;
    if (this.#leaving) {
      if (this.#reason !== null) this.self.quit(this.#loss);
      return;
    }
    if (this.#recounts > 0) {
      this.#recounts -= 1;
      this.soon();
    } else if (this.#claim !== null && this.#claimed && this.#senders + this.#listeners === 0) {
      this.#leave();
      return;
    }
    if (this.#hadSender && this.#senders === 0) this.#endOutput();
    this.#answer();
    // What came before the end, or before it was lost, comes before that; and what was for nobody is known only after this turn.
    if (this.#listeners > 0 && this.#input.deliver()) this.soon();
    else this.#followEnds();
    this.flow();
  };

  #followEnds(): void {
    const reason = this.#reason;
    if (reason !== null && reason.kind !== 'ended') {
      this.self.quit(lossOf(this.local, this.remote, this.#inside));
      return;
    }
    if (this.#peerEnd === 'came' && this.#listeners > 0 && this.#input.empty) this.#tellEnd();
    if (reason !== null && this.#peerEnd === 'told') this.self.quit();
  }

  #tellEnd(): void {
    const topic = tcpChannel(this.remote, this.local as TcpListener, _);
    this.#peerEnd = 'told';
    this.self.send(tcpChannel(this.remote, this.local as TcpListener, tcpEnd()));
    this.#publisher?.withdraw();
    // Those who listened are there still, and may be the only ones; they are seen again when this turn and the next are over.
    this.#listeners = 0;
    this.#recounts = 1;
    this.self.observeSubscribers(topic, {
      onPresence: () => this.#look(0, 1),
      onAbsence: () => this.#look(0, -1),
    });
    this.soon();
  }

  /** What went wrong with a connection that was being closed; undefined where nothing did. */
  get #loss(): Datum | undefined {
    const kind = this.#reason?.kind;
    return kind === 'ended' || kind === 'closed' ? undefined : lossOf(this.local, this.remote, this.#inside);
  }

  /** Somebody sent something. */
  #write(body: unknown): void {
    const inside = this.#inside;
    if (this.#leaving || inside.closing) return;
    if (this.#outputEnded) {
      this.#fail(misuse('ERR_PORTSIDE_WRITE_AFTER_END', 'something was sent after the end'));
    } else if (typeof body === 'string') {
      this.#put(this.#sockets.bytesOf(body));
    } else if (isUint8Array(body)) {
      this.#put(body);
    } else if (tcpEnd.is(body)) {
      this.#outputEnded = true;
      void endOutput(inside);
    } else {
      this.#fail(misuse('ERR_PORTSIDE_OPTIONS', `bytes, a text or tcpEnd() can be sent, got ${show(body)}`));
    }
  }

  #put(bytes: Uint8Array): void {
    void this.#inside.write(bytes);
    if (this.#credit === null) return;
    this.#credit.wrote(bytes.length);
    this.#answer();
  }

  /** Answers what is with the kernel. */
  #answer(): void {
    if (this.#credit === null) return;
    for (let amount = this.#credit.next(); amount !== undefined; amount = this.#credit.next())
      this.self.feedback(tcpChannel(this.local as TcpListener, this.remote, tcpCredit(amount)));
  }

  /** Somebody fed something back. */
  #heard(body: unknown): void {
    if (this.#leaving) return;
    const wrong = this.#input.control(body);
    if (wrong !== null) this.#fail(wrong);
    else this.soon();
  }

  #endOutput(): void {
    this.#subscriber?.withdraw();
    if (this.#outputEnded) return;
    this.#outputEnded = true;
    if (!this.#inside.closing) void endOutput(this.#inside);
  }

  #leave(detail?: Datum): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#claim?.disarm();
    this.#publisher?.withdraw(detail);
    this.#subscriber?.withdraw(detail);
    if (this.#reason !== null) this.self.quit(detail ?? this.#loss);
    else this.#inside.shut(this.#inside.settings.linger);
  }

  #unclaimed(ms: number): void {
    if (this.#claimed) return;
    this.#leave(
      tcpFailed(this.local, this.remote, 'ERR_PORTSIDE_TIMEOUT', `nobody took the connection within ${ms} ms`),
    );
  }

  #fail(error: PortsideError): void {
    this.#inside.destroy('reset', { kind: 'aborted', cause: error });
    this.self.quit(failureOf(this.local, this.remote, error));
  }
}

import { link } from '../../net/connection.ts';
import type { Connection } from '../../net/connection.ts';
import { formatAddress } from '../../transport/address.ts';
import type { OutsideSource, Self } from '../self.ts';
import { topicKey } from '../topic-key.ts';
import { tcpFailed } from './tcp-channel.ts';
import { TcpLink } from './tcp-link.ts';
import { tcpAddress } from './tcp-places.ts';
import type { TcpListener, TcpPeer } from './tcp-places.ts';
import type { Droppable, Named, TcpSockets } from './tcp-sockets.ts';

/** A connection that was accepted, from the moment in which it was, in an actor that comes after it. */
export class TcpAccepted implements Droppable, Named {
  readonly #connection: Connection;
  readonly #place: TcpListener;
  readonly #sockets: TcpSockets;
  #self: Self | undefined;
  #source: OutsideSource | undefined;
  #peer: TcpPeer | undefined;
  /** Those that wait for its name. */
  readonly #heirs: (() => void)[] = [];

  constructor(connection: Connection, place: TcpListener, sockets: TcpSockets) {
    this.#connection = connection;
    this.#place = place;
    this.#sockets = sockets;
    sockets.enter(this);
    link(connection).onClose(() => sockets.leave(this));
  }

  /** The first turn of its actor. Who it is, and whether it may be here, is known when the handshakes are over. */
  begin(self: Self): void {
    const inside = link(this.#connection);
    this.#self = self;
    const source = self.outside();
    this.#source = source;
    self.onEnd(({ kind }) => inside.destroy(kind === 'failed' ? 'reset' : 'drop', null));
    if (!inside.opening) this.#meet(self, source);
    else {
      void this.#connection.opened.then(
        () => source.enter(() => this.#meet(self, source)),
        // Nobody in the space has seen it yet.
        () => source.enter(() => self.quit()),
      );
    }
  }

  /** The driver has ended. */
  drop(): void {
    link(this.#connection).destroy('drop', null);
    this.#source?.enter(() => this.#self?.quit('the driver has ended'));
  }

  outlivedBy(local: string, remote: string): boolean {
    const { channel } = link(this.#connection);
    return formatAddress(channel.local) === local && formatAddress(channel.remote) === remote;
  }

  giveWay(then: () => void): void {
    this.#heirs.push(then);
    this.#source?.enter(() => {
      const peer = this.#peer as TcpPeer;
      const why = 'another connection came from the same address and port';
      link(this.#connection).destroy('reset', null);
      this.#self?.quit(tcpFailed(this.#place, peer, 'ECONNRESET', why));
    });
  }

  #meet(self: Self, source: OutsideSource): void {
    const { remote } = this.#connection;
    if (!('host' in remote)) {
      self.quit();
      return;
    }
    const peer = tcpAddress(remote.host, remote.port);
    const name = topicKey([peer, this.#place]);
    const other = this.#sockets.name(name, this);
    if (other === undefined) {
      this.#peer = peer;
      self.onEnd(() => {
        this.#sockets.unname(name, this);
        for (const heir of this.#heirs) heir();
      });
      this.#open(self, source, peer);
      return;
    }
    // One that the system has given up makes room. Else two ports of this machine, or two proxies, have clients that are called the
    // same, and what is said to the one must not reach the other.
    const { channel } = link(this.#connection);
    if (other.outlivedBy(formatAddress(channel.local), formatAddress(channel.remote))) {
      other.giveWay(() => source.enter(() => this.#meet(self, source)));
    } else {
      this.#connection.abort();
      self.quit();
    }
  }

  #open(self: Self, source: OutsideSource, peer: TcpPeer): void {
    const made = new TcpLink(self, source, this.#connection, this.#place, peer, this.#sockets);
    if (made.open()) made.claimWithin(this.#sockets.settings.claimTimeout);
    else self.quit();
  }
}

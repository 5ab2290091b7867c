import { PortsideError } from '../../base/errors.ts';
import type { Connection } from '../../net/connection.ts';
import { listen } from '../../net/listen.ts';
import type { ListenOptions } from '../../net/listen.ts';
import { feedOf } from '../../net/listener.ts';
import type { Feed, Feeder, Listener } from '../../net/listener.ts';
import type { Channel } from '../../transport/contract.ts';
import type { OutsideSource, Self } from '../self.ts';
import { TcpAccepted } from './tcp-accepted.ts';
import { tcpBound } from './tcp-channel.ts';
import { failureOf } from './tcp-failure.ts';
import { tcpAddress } from './tcp-places.ts';
import type { TcpListener } from './tcp-places.ts';
import type { TcpSockets } from './tcp-sockets.ts';

/** Connections that are taken in one turn. */
const BURST = 64;

/** A port that somebody wants, in an actor of its own: open, or published as failed. */
export class TcpListening implements Feeder {
  readonly #self: Self;
  readonly #place: TcpListener;
  readonly #sockets: TcpSockets;
  readonly #source: OutsideSource;
  readonly #calledOff = new AbortController();
  #listener: Listener | undefined;
  #feed: Feed | undefined;
  /** Whether a turn that takes connections is on its way. */
  #taking = false;

  constructor(self: Self, place: TcpListener, sockets: TcpSockets) {
    this.#self = self;
    this.#place = place;
    this.#sockets = sockets;
    self.onEnd(() => this.#close());
    this.#source = self.outside();
    void sockets
      .bind(place.port, () => this.#bind())
      .then(
        (listener) => this.#bound(listener),
        (error: unknown) => {
          this.#source.enter(() => self.publish(failureOf(place, null, error)));
          this.#source.release();
        },
      );
  }

  /** There is a connection to take. */
  ready(): void {
    if (this.#taking) return;
    this.#taking = true;
    this.#source.enter(this.#take);
  }

  /** The listener goes on by itself, and tells whoever listens to diagnostics. */
  trouble(): void {
    // There is nothing to be done about it here.
  }

  async #bind(): Promise<Listener> {
    const { port, host, backlog, tls } = this.#place;
    const { listen: given, servers, transport } = this.#sockets.settings;
    const { signal } = this.#calledOff;
    const options: ListenOptions = { ...given, port, host: host ?? undefined, backlog, transport, signal };
    if (tls !== null) {
      options.tls = servers.get(tls);
      if (options.tls === undefined) throw unknownName(tls);
    }
    return listen(options);
  }

  // Between here and the turn the actor may end, and then the port has to be known to be closed.
  #bound(listener: Listener): void {
    if (this.#calledOff.signal.aborted) {
      void listener.close();
      return;
    }
    this.#listener = listener;
    // The scope that it belongs to may close it. Who asks again then is told why it can't be had.
    void listener.closed.then(() => this.#source.enter(() => this.#self.quit('the port was closed')));
    this.#source.enter(() => {
      for (const address of listener.addresses)
        if ('host' in address) this.#self.publish(tcpBound(this.#place, tcpAddress(address.host, address.port)));
      this.#feed = this.#sockets.within(() => feedOf(listener, this));
      this.#feed.want(true);
    });
  }

  // Taken within a turn, as what is taken outside of one would be lost when the actor ends before it.
  readonly #take = (): void => {
    this.#taking = false;
    const feed = this.#feed as Feed;
    for (let count = 0; count < BURST; count += 1) {
      if (this.#sockets.room <= 0) {
        feed.want(false);
        this.#sockets.whenRoom(this.#again);
        return;
      }
      const channel = feed.take();
      if (channel === null) return;
      const connection = this.#open(feed, channel);
      if (connection === null) return;
      const accepted = new TcpAccepted(connection, this.#place, this.#sockets);
      try {
        this.#self.spawn((self) => accepted.begin(self), { name: 'tcp connection' });
      } catch (error) {
        // The space is full: it is the connection that has to go, and not the port.
        connection.abort(error);
      }
    }
  };

  #open(feed: Feed, channel: Channel): Connection | null {
    try {
      return feed.open(channel);
    } catch {
      // Its scope is being closed, and the channel was ended; the port will be.
      return null;
    }
  }

  readonly #again = (): void => this.#feed?.want(true);

  #close(): void {
    this.#calledOff.abort();
    this.#sockets.noMatter(this.#again);
    void this.#listener?.close();
  }
}

function unknownName(name: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_TLS', `the driver knows no TLS server by the name ${JSON.stringify(name)}`, {
    op: 'listen',
  });
}

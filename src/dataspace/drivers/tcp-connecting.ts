import { PortsideError } from '../../base/errors.ts';
import { connect } from '../../net/connect.ts';
import type { ConnectOptions } from '../../net/connect.ts';
import { link } from '../../net/connection.ts';
import type { Connection } from '../../net/connection.ts';
import type { OutsideSource, Self } from '../self.ts';
import { failureOf, lossOf } from './tcp-failure.ts';
import { TcpLink } from './tcp-link.ts';
import type { TcpHandle, TcpPeer } from './tcp-places.ts';
import type { TcpSockets } from './tcp-sockets.ts';

/** A connection that somebody wants, in an actor of its own: being made, open, or published as failed. */
export class TcpConnecting {
  readonly #self: Self;
  readonly #handle: TcpHandle;
  readonly #address: TcpPeer;
  readonly #sockets: TcpSockets;
  readonly #source: OutsideSource;
  readonly #calledOff = new AbortController();
  #connection: Connection | undefined;
  #link: TcpLink | undefined;

  constructor(self: Self, handle: TcpHandle, address: TcpPeer, sockets: TcpSockets) {
    this.#self = self;
    this.#handle = handle;
    this.#address = address;
    this.#sockets = sockets;
    self.onEnd(({ kind }) => {
      this.#calledOff.abort();
      if (this.#connection !== undefined) link(this.#connection).destroy(kind === 'failed' ? 'reset' : 'drop', null);
    });
    this.#source = self.outside();
    void sockets
      .within(() => this.#connect())
      .then(
        (connection) => this.#connected(connection),
        (error: unknown) => this.#source.enter(() => this.#failed(error)),
      );
  }

  /**
   * Nobody wants it any more: an open connection is flushed and closed, and ends its actor; false where there is none, and the
   * actor may be ended at once.
   */
  stop(): boolean {
    if (this.#link === undefined) return false;
    this.#link.stop();
    return true;
  }

  async #connect(): Promise<Connection> {
    const { host, port } = this.#address;
    const { tls } = this.#handle;
    const { connect: given, clients, transport } = this.#sockets.settings;
    const options: ConnectOptions = { ...given, transport, signal: this.#calledOff.signal };
    if (tls !== null) {
      options.tls = clients.get(tls);
      if (options.tls === undefined) throw unknownName(tls);
    }
    return connect({ host, port }, options);
  }

  // Between here and the turn the actor may end, and then the connection has to be known to be dropped.
  #connected(connection: Connection): void {
    if (this.#calledOff.signal.aborted) {
      link(connection).destroy('drop', null);
      return;
    }
    this.#connection = connection;
    this.#source.enter(() => this.#open(connection));
  }

  #open(connection: Connection): void {
    const made = new TcpLink(this.#self, this.#source, connection, this.#handle, this.#address, this.#sockets);
    if (made.open()) {
      this.#link = made;
      return;
    }
    this.#self.publish(lossOf(this.#handle, this.#address, link(connection)));
    this.#source.release();
  }

  #failed(error: unknown): void {
    this.#self.publish(failureOf(this.#handle, this.#address, error));
    this.#source.release();
  }
}

function unknownName(name: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_TLS', `the driver knows no TLS client by the name ${JSON.stringify(name)}`, {
    op: 'connect',
  });
}

import type { TLSSocket } from 'node:tls';
import { ClosedError, PortsideError } from '../../base/errors.ts';
import { formatAddress } from '../address.ts';
import { deafSink } from '../contract.ts';
import type { Channel, Sink } from '../contract.ts';
import { endedByReset } from '../node/internals.ts';
import { carry, hasSocket } from './carrier.ts';
import type { Carrier } from './carrier.ts';
import { TlsChannel } from './channel.ts';
import type { SecureChannel } from './channel.ts';
import { ClientSide } from './client-side.ts';
import type { TlsClientOptions } from './client.ts';
import { materialOf } from './context.ts';
import type { TlsServerContext } from './context.ts';
import { endedEarly, handshakeFailure, resetEarly } from './failure.ts';
import { SocketInfo } from './info.ts';
import type { Verdict } from './info.ts';
import { releaseControl } from './internals.ts';
import { ServerSide } from './server-side.ts';
import type { Side } from './side.ts';

export type { SecureChannel } from './channel.ts';
export type { TlsInfo } from './info.ts';

/** TLS being begun on a connection. */
export interface TlsHandshake {
  /**
   * The channel under TLS, flow off; or a {@link PortsideError}, with the connection gone: ERR_PORTSIDE_TLS, with what OpenSSL or Node said
   * as cause; ERR_PORTSIDE_UNEXPECTED_END when the peer ended during it; ECONNRESET and the system's other codes when the connection broke;
   * ERR_PORTSIDE_CLOSED when it was closed or ended on this side before; ERR_PORTSIDE_ABORTED or the error that was given after `cancel`.
   */
  readonly result: Promise<SecureChannel>;
  /** Calls it off and destroys the connection at once, in that way. Does nothing once there is a result. */
  cancel(how: 'drop' | 'reset', error?: PortsideError): void;
}

/**
 * Begins TLS on a connection as the server. It is taken over whole: its sink, its flow, its unread bytes; `early` are bytes of the peer's that were
 * read already, and come first. How long it may take is left to the caller.
 */
export function secureServer(channel: Channel, context: TlsServerContext, early: readonly Uint8Array[]): TlsHandshake {
  // A reload during the handshake must not mix old and new.
  return new Handshake(channel, early, new ServerSide(materialOf(context)));
}

/**
 * Begins TLS on a connection as the client. `host` is what was connected to; it is asked for and held against the certificate unless
 * `servername` is given. With neither, and nothing that judges the certificate, the result is ERR_PORTSIDE_OPTIONS.
 */
export function secureClient(
  channel: Channel,
  options: TlsClientOptions,
  host: string | undefined,
  early: readonly Uint8Array[],
): TlsHandshake {
  return new Handshake(channel, early, new ClientSide(options, host));
}

class Handshake implements TlsHandshake, Sink {
  readonly result: Promise<SecureChannel>;
  readonly #side: Side;
  readonly #early: readonly Uint8Array[];
  /** Held until it is taken over. */
  #channel: Channel | null;
  #carrier: Carrier | null = null;
  #socket: TLSSocket | null = null;
  #place: Pick<Channel, 'local' | 'remote'>;
  #done = false;
  #resolve: (channel: SecureChannel) => void = () => {};
  #reject: (error: PortsideError) => void = () => {};

  constructor(channel: Channel, early: readonly Uint8Array[], side: Side) {
    this.#side = side;
    this.#early = early;
    this.#channel = channel;
    this.#place = channel;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who calls it off may have stopped listening.
    this.result.catch(() => {});
    channel.flow(false);
    channel.sink = this;
    try {
      const preparing = side.prepare();
      if (preparing === null) this.#take();
      else
        preparing.then(
          () => this.#take(),
          (error: unknown) => this.#fail(error),
        );
    } catch (error) {
      this.#fail(error);
    }
  }

  cancel(how: 'drop' | 'reset', error?: PortsideError): void {
    if (this.#done) return;
    const remote = formatAddress(this.#place.remote);
    this.#fail(
      error ??
        new PortsideError('ERR_PORTSIDE_ABORTED', `the TLS handshake with ${remote} was called off`, {
          op: 'tls',
          remote,
        }),
      how,
    );
  }

  // As the sink of a channel that is not taken over yet, with flow off.
  data(): void {}

  end(): void {}

  writable(): void {
    this.#take();
  }

  close(end: Parameters<Sink['close']>[0]): void {
    this.#channel = null;
    this.#fail('error' in end ? end.error : this.#closedHere());
  }

  #take(): void {
    const channel = this.#channel;
    if (this.#done || channel === null) return;
    // Its socket can be had when its output is with the kernel; a plain greeting may be before.
    if (channel.queued > 0 && hasSocket(channel)) {
      channel.wantWritable();
      return;
    }
    this.#place = { local: channel.local, remote: channel.remote };
    const open = !channel.closed;
    try {
      const carrier = carry(channel, this.#early);
      if (carrier === null) {
        this.#fail(open && channel.closed ? endedEarly(this.#place) : this.#closedHere());
        return;
      }
      this.#channel = null;
      this.#carrier = carrier;
      this.#begin(carrier);
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(carrier: Carrier): void {
    const socket = this.#side.begin(carrier);
    this.#socket = socket;
    socket.disableRenegotiation();
    socket.on('error', this.#onError);
    socket.on('_tlsError', this.#onError);
    // Before Node's own, which destroys the socket and calls every end a reset.
    socket.prependListener('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.on(this.#side.event, this.#onSecure);
  }

  readonly #onError = (error: Error): void => this.#fail(error);

  readonly #onEnd = (): void => {
    // A write that failed may have taken the error of the reset.
    const reset = this.#socket !== null && endedByReset(this.#socket);
    this.#fail(reset ? resetEarly(this.#place) : endedEarly(this.#place));
  };

  readonly #onClose = (): void => this.#fail(endedEarly(this.#place));

  readonly #onSecure = (): void => {
    const socket = this.#socket;
    const carrier = this.#carrier;
    if (this.#done || socket === null || carrier === null) return;
    let verdict: Verdict | PortsideError;
    try {
      verdict = this.#side.judge(socket, carrier);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (verdict instanceof PortsideError) {
      this.#fail(verdict);
      return;
    }
    const channel = new TlsChannel(socket, carrier, new SocketInfo(socket, verdict));
    releaseControl(socket);
    socket.off('error', this.#onError);
    socket.off('_tlsError', this.#onError);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    socket.off(this.#side.event, this.#onSecure);
    // This is within OpenSSL's reading, with the end of the handshake not written yet: a close_notify that is sent now gets lost (Node 22).
    setImmediate(() => this.#succeed(channel));
  };

  #succeed(channel: SecureChannel): void {
    if (this.#done) return;
    if (channel.closed) {
      this.#fail(endedEarly(this.#place));
      return;
    }
    this.#done = true;
    this.#resolve(channel);
  }

  #closedHere(): PortsideError {
    const remote = formatAddress(this.#place.remote);
    return new ClosedError('the connection was closed, or its output ended, before TLS could begin', {
      op: 'tls',
      remote,
    });
  }

  #fail(error: unknown, how: 'drop' | 'reset' = 'drop'): void {
    if (this.#done) return;
    this.#done = true;
    const failure = handshakeFailure(error, this.#place);
    const channel = this.#channel;
    if (channel !== null) {
      channel.sink = deafSink;
      channel.destroy(how);
    }
    // Its listeners stay: what else is told of the failure has to be heard by somebody.
    if (how === 'reset') {
      // Node destroys what is above with it. Done here, within OpenSSL's reading, it would crash.
      this.#carrier?.reset();
    } else {
      this.#socket?.destroy();
      this.#carrier?.stream.destroy();
    }
    this.#channel = null;
    this.#socket = null;
    this.#carrier = null;
    this.#reject(failure);
  }
}

import { PortsideError } from '../../base/errors.ts';
import type { Datagram, UdpOptions, UdpSocket } from '../../net/udp.ts';
import type { EndpointHandle } from '../endpoint.ts';
import { _ } from '../hole.ts';
import { sendTracked } from '../self.ts';
import type { OutsideSource, Self } from '../self.ts';
import type { Datum } from '../topic-types.ts';
import { toFailure, toReason } from './udp-place.ts';
import type { OutgoingPacket, PacketSender, UdpPlace } from './udp-place.ts';
import { udpAddress, udpBound, udpFailed, udpListener, udpPacket } from './udp-topics.ts';
import type { UdpLocal } from './udp-topics.ts';

/** How sockets are bound and read. */
export interface UdpPortSettings {
  readonly bind: (options: UdpOptions) => Promise<UdpSocket>;
  readonly socket: UdpOptions;
  readonly untakenPackets: number;
  readonly untakenBytes: number;
}

/**
 * The socket of one local place, in the hands of an actor: bound, read and closed. `binding`: it is being bound. `open`: it is.
 * `closing`: what was sent is flushed. `ended`: the actor is gone.
 */
export class UdpPort implements PacketSender {
  readonly #task: Self;
  readonly #place: UdpPlace;
  readonly #settings: UdpPortSettings;
  readonly #source: OutsideSource;
  readonly #callOff = new AbortController();
  #state: 'binding' | 'open' | 'closing' | 'ended' = 'binding';
  #stopping = false;
  #socket: UdpSocket | undefined;
  #endpoints: readonly EndpointHandle[] = [];
  #receiving = false;
  /** Packets that came, and are sent with the next turn. */
  #arrived: Datagram[] = [];
  /** Those that came and were not dealt with by all that they are for. */
  #untaken = 0;
  #untakenBytes = 0;

  /** In the first turn of the actor. */
  constructor(task: Self, place: UdpPlace, settings: UdpPortSettings) {
    this.#task = task;
    this.#place = place;
    this.#settings = settings;
    this.#source = task.outside();
    task.onEnd(() => this.#end());
    const options = { ...settings.socket, ...whereOf(place.local), signal: this.#callOff.signal };
    settings.bind(options).then(
      (socket) => this.#bound(socket),
      (error: unknown) => this.#quit(this.#stopping ? undefined : toReason(toFailure(error))),
    );
  }

  get ready(): boolean {
    return this.#state === 'open';
  }

  send(packet: OutgoingPacket): void {
    const { remote, body } = packet;
    try {
      const { host, port } = remote;
      this.#socket?.send(body, { host, port }).catch((error: unknown) => this.#tell(packet, error));
    } catch (error) {
      this.#tell(packet, error);
    }
  }

  /** Ends the actor when what was sent is on its way. Called in somebody else's turn. */
  stop(): void {
    this.#stopping = true;
    if (this.#state === 'open') this.#source.enter(() => this.#close());
    // Who sent something and went wants it to be sent.
    else if (!this.#place.hasWaiting) this.#callOff.abort();
  }

  #bound(socket: UdpSocket): void {
    if (this.#state === 'ended') {
      void socket.abort();
      return;
    }
    this.#socket = socket;
    void socket.closed.then(() => this.#closed());
    this.#source.enter(() => this.#open(socket));
  }

  #open(socket: UdpSocket): void {
    const { local } = this.#place;
    this.#state = 'open';
    for (const packet of this.#place.takeWaiting()) this.send(packet);
    if (this.#stopping) {
      this.#close();
      return;
    }
    const { host, port } = socket.local;
    this.#endpoints = [
      this.#task.publish(udpPacket(udpAddress(_, _), local, _)),
      this.#task.subscribe(udpPacket(local, udpAddress(_, _), _)),
      this.#task.publish(udpBound(local, udpAddress(host, port))),
    ];
    this.#read();
  }

  #close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    for (const endpoint of this.#endpoints) endpoint.withdraw();
    void this.#socket?.close();
  }

  #closed(): void {
    if (this.#state === 'closing') this.#quit(undefined);
    // The scope that it belongs to was closed.
    else this.#quit(toReason({ code: 'ERR_PORTSIDE_CLOSED', message: 'the UDP socket is closed' }));
  }

  #quit(detail: Datum | undefined): void {
    this.#source.enter(() => this.#task.quit(detail));
  }

  #end(): void {
    this.#state = 'ended';
    this.#callOff.abort();
    void this.#socket?.abort();
  }

  #read(): void {
    const { untakenPackets, untakenBytes } = this.#settings;
    if (this.#receiving || this.#state !== 'open') return;
    if (this.#untaken >= untakenPackets || this.#untakenBytes >= untakenBytes) return;
    this.#receiving = true;
    this.#socket?.receive().then(this.#arrive, this.#deaf);
  }

  readonly #arrive = (datagram: Datagram): void => {
    this.#receiving = false;
    this.#untaken += 1;
    this.#untakenBytes += datagram.data.length;
    this.#arrived.push(datagram);
    if (this.#arrived.length === 1) this.#source.enter(this.#pass);
    this.#read();
  };

  // It is closed, and that is heard elsewhere.
  readonly #deaf = (): void => {
    this.#receiving = false;
  };

  /** Sends what has come, in a turn. */
  readonly #pass = (): void => {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const { data, remote } of arrived) {
      const packet = udpPacket(udpAddress(remote.host, remote.port), this.#place.local, data);
      sendTracked(this.#task, packet, () => this.#taken(data.length));
    }
  };

  #taken(length: number): void {
    this.#untaken -= 1;
    this.#untakenBytes -= length;
    this.#read();
  }

  #tell({ remote }: OutgoingPacket, error: unknown): void {
    const { code, message } = toFailure(error);
    this.#source.enter(() => this.#task.send(udpFailed(this.#place.local, remote, code, message)));
  }
}

function whereOf(local: UdpLocal): UdpOptions {
  if (!udpListener.is(local)) return { port: 0 };
  const { port, host, reuse } = local;
  return { port, host: host ?? undefined, reuseAddress: reuse };
}

/** What is said where there would be too many sockets. */
export function tooManySockets(most: number): PortsideError {
  return new PortsideError('ERR_PORTSIDE_LIMIT', `${most} UDP sockets are open, and there may not be more`);
}

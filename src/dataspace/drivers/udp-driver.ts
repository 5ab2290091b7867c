import { AsyncLocalStorage } from 'node:async_hooks';
import { boolean, byteCount, check, integer, object, string, table } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import { bindUdp } from '../../net/udp.ts';
import type { UdpOptions } from '../../net/udp.ts';
import { udpLimits } from '../../net/udp-options.ts';
import { matchDemand } from '../demand.ts';
import type { ActorId, EndpointHandle } from '../endpoint.ts';
import { _, capture } from '../hole.ts';
import type { Boot, Self } from '../self.ts';
import { topicKey } from '../topic-key.ts';
import type { AnyRecord, BindingsOf, Datum, Topic } from '../topic-types.ts';
import { look, publishersOf, subscribersOf } from '../watch.ts';
import type { Watch } from '../watch.ts';
import { toFailure, toReason, UdpPlace, whyEnded } from './udp-place.ts';
import type { UdpFailure } from './udp-place.ts';
import { tooManySockets, UdpPort } from './udp-port.ts';
import type { UdpPortSettings } from './udp-port.ts';
import { listenerRecord, udpAddress, udpFailed, udpHandle, udpPacket } from './udp-topics.ts';
import type { UdpHandle, UdpListenerFields, UdpLocal, UdpPeer } from './udp-topics.ts';

/** What holds for each socket of a {@link udpDriver}; see `UdpOptions`. */
export type UdpSocketOptions = Pick<
  UdpOptions,
  | 'inboxDatagrams'
  | 'inboxBytes'
  | 'outboxDatagrams'
  | 'outboxBytes'
  | 'receiveBuffer'
  | 'sendBuffer'
  | 'broadcast'
  | 'ttl'
  | 'multicast'
>;

/** Settings of {@link udpDriver}. */
export interface UdpDriverOptions {
  /** What holds for each socket. The outbox' limits hold for what waits until a socket is bound, too. */
  readonly socket?: UdpSocketOptions | undefined;
  /**
   * Sockets that may be open at a time; one more is a `udpFailed`.
   * @default 1024
   */
  readonly maxSockets?: number | undefined;
  /**
   * Packets of one socket that may be on their way to actors, or be worked on by them, at a time. Those above wait in the
   * socket's inbox.
   * @default 1024
   */
  readonly untakenPackets?: number | undefined;
  /**
   * Bytes of such packets; one packet goes whatever its length.
   * @default 1048576
   */
  readonly untakenBytes?: number | undefined;
}

const driverTable = table('udpDriver', {
  socket: object({
    inboxDatagrams: integer({ min: 1 }),
    inboxBytes: byteCount({ min: 1 }),
    outboxDatagrams: integer({ min: 1 }),
    outboxBytes: byteCount({ min: 1 }),
    receiveBuffer: byteCount({ min: 1, max: 2 ** 31 - 1 }),
    sendBuffer: byteCount({ min: 1, max: 2 ** 31 - 1 }),
    broadcast: boolean(),
    ttl: integer({ min: 1, max: 255 }),
    multicast: object({ ttl: integer({ min: 0, max: 255 }), loopback: boolean(), interface: string() }),
  }),
  maxSockets: integer({ min: 0 }),
  untakenPackets: integer({ min: 1 }),
  untakenBytes: byteCount({ min: 1 }),
});
const agreed: Agrees<typeof driverTable, UdpDriverOptions> = true;
void agreed;

const NOBODY: UdpFailure = {
  code: 'ERR_PORTSIDE_STATE',
  message: 'nobody publishes what goes out from here, nor subscribes to what comes in, so that there is no socket',
};

/**
 * The actor by which a space sends and gets UDP packets; one for a space.
 *
 *     space.spawn(udpDriver());
 *     space.spawn((self) => {
 *       self.subscribe(udpPacket(_, udpListener(5000), _), {
 *         onMessage: ({ topic: { source, destination, body } }) => self.send(udpPacket(destination, source, body)),
 *       });
 *     });
 *
 * A local side is a `udpListener`, which says what is bound and how, or a `udpHandle`, for which the system chooses a port on
 * every address. There is a socket for each that has a participant: one that subscribes to what comes to it, or publishes
 * what goes out from it. All of them share it; it is closed, when what was sent is on its way, with the last of them.
 *
 * - While it is open there are `udpBound(local, address)`, with the address as it really is, and the other side of both
 *   topics: a publisher of what comes and a subscriber to what is sent.
 * - What can't be bound is published as `udpFailed(local, null, code, message)` as long as somebody wants it; who then asks
 *   anew is served anew. Codes are those of `bindUdp`, and `ERR_PORTSIDE_LIMIT` where there are too many.
 * - What comes is sent as `udpPacket(udpAddress(host, port), local, bytes)`. Where those who hear it are slow, and their
 *   handlers asynchronous, it waits in the socket's inbox; what finds that full is dropped, as are packets anywhere.
 * - To send, send `udpPacket(local, udpAddress(host, port), body)`, the body bytes or text. A name is looked up for each packet.
 *   What is sent before the socket is there waits for it. What can't be sent is told by the message `udpFailed(local, remote,
 *   code, message)`: codes are those of `UdpSocket.send`, and `ERR_PORTSIDE_STATE` where nobody takes part on the local side.
 *
 * Sockets belong to the scope in which the driver was made, and `space.run()` waits while there are any.
 *
 * @throws ERR_PORTSIDE_OPTIONS
 */
export function udpDriver(options?: UdpDriverOptions): Boot {
  const { socket = {}, maxSockets = 1_024, ...limits }: UdpDriverOptions = check(driverTable, options);
  const { untakenPackets = 1_024, untakenBytes = 1_048_576 } = limits;
  const within = AsyncLocalStorage.snapshot();
  const bind: UdpPortSettings['bind'] = (given) => within(() => bindUdp(given));
  return (self) => {
    const driver = new UdpDriver(self, { bind, socket, untakenPackets, untakenBytes }, maxSockets);
    driver.serve('udp listener', listenerRecord(capture('port'), capture('host'), capture('reuse')), (caught) =>
      listenerRecord(caught['port'] as number, caught['host'] as string | null, caught['reuse'] as boolean),
    );
    driver.serve('udp handle', udpHandle(capture('id')), (caught) => udpHandle(caught['id'] as Datum));
    self.observePublishers(udpPacket(listenerRecord(_, _, _), udpAddress(_, _), _), {
      onMessage: ({ topic }) => driver.send(topic.source, topic.destination, topic.body),
    });
    self.observePublishers(udpPacket(udpHandle(_), udpAddress(_, _), _), {
      onMessage: ({ topic }) => driver.send(topic.source, topic.destination, topic.body),
    });
  };
}

/** A local side, whose fields are all caught. */
type CatchingLocal = AnyRecord<unknown, 'udp-listener', UdpListenerFields> | AnyRecord<unknown, 'udp-handle'>;

class UdpDriver {
  readonly #self: Self;
  readonly #settings: UdpPortSettings;
  readonly #maxSockets: number;
  readonly #places = new Map<string, UdpPlace>();
  readonly #ports = new Map<ActorId, UdpPort>();

  constructor(self: Self, settings: UdpPortSettings, maxSockets: number) {
    this.#self = self;
    this.#settings = settings;
    this.#maxSockets = maxSockets;
  }

  /** Serves local sides of one kind; `of` makes them of what was caught. */
  serve(name: string, catching: CatchingLocal, of: (caught: BindingsOf<Topic>) => UdpLocal): void {
    const demand: readonly Watch[] = [
      subscribersOf(udpPacket(_, catching as UdpHandle, _)),
      publishersOf(udpPacket(catching as UdpHandle, _, _)),
    ];
    // Before the matcher, so that a place is known before it is to be served.
    for (const watch of demand) look(this.#self, watch, ({ bindings }, by) => this.#want(of(bindings), by));
    matchDemand(this.#self, {
      demand,
      start: (task, { bindings }) => this.#start(task, this.#placeOf(of(bindings))),
      stop: (actor) => this.#stop(actor),
      giveUp: (reason, { bindings }) => this.#giveUp(this.#placeOf(of(bindings)), whyEnded(reason)),
      restart: false,
      name,
    });
  }

  send(local: UdpLocal, remote: UdpPeer, body: Uint8Array | string): void {
    const place = this.#places.get(topicKey(local));
    const failure = place === undefined ? NOBODY : place.send({ remote, body });
    if (failure !== undefined) this.#tell(local, remote, failure);
  }

  #want(local: UdpLocal, by: 1 | -1): void {
    const place = this.#placeOf(local);
    place.wanted += by;
    this.#forget(place);
  }

  #start(task: Self, place: UdpPlace): void {
    if (this.#ports.size >= this.#maxSockets) {
      task.quit(toReason(toFailure(tooManySockets(this.#maxSockets))));
      return;
    }
    const port = new UdpPort(task, place, this.#settings);
    place.sender = port;
    this.#ports.set(task.id, port);
    task.onEnd(() => {
      place.sender = undefined;
      this.#ports.delete(task.id);
      this.#forget(place);
    });
  }

  #stop(actor: ActorId): void {
    const port = this.#ports.get(actor);
    if (port !== undefined) port.stop();
    // It has not had its first turn.
    else this.#self.quit(actor, 'no demand');
  }

  #giveUp(place: UdpPlace, failure: UdpFailure): EndpointHandle {
    const { local } = place;
    place.failure = failure;
    for (const { remote } of place.takeWaiting()) this.#tell(local, remote, failure);
    const notice = this.#self.publish(udpFailed(local, null, failure.code, failure.message));
    return {
      id: notice.id,
      withdraw: (reason) => {
        notice.withdraw(reason);
        place.failure = undefined;
        this.#forget(place);
      },
    };
  }

  #tell(local: UdpLocal, remote: UdpPeer, { code, message }: UdpFailure): void {
    this.#self.send(udpFailed(local, remote, code, message));
  }

  #placeOf(local: UdpLocal): UdpPlace {
    const key = topicKey(local);
    let place = this.#places.get(key);
    if (place === undefined) {
      const { outboxDatagrams, outboxBytes } = udpLimits(this.#settings.socket);
      place = new UdpPlace(local, key, { packets: outboxDatagrams, bytes: outboxBytes });
      this.#places.set(key, place);
    }
    return place;
  }

  #forget(place: UdpPlace): void {
    if (place.idle && this.#places.get(place.key) === place) this.#places.delete(place.key);
  }
}

import { currentScope } from '../../sync/scope.ts';
import { matchDemand } from '../demand.ts';
import type { ActorId, EndpointHandle } from '../endpoint.ts';
import { _, capture } from '../hole.ts';
import type { EndReason } from '../reasons.ts';
import type { Boot, Self } from '../self.ts';
import { publishersOf, subscribersOf } from '../watch.ts';
import { tcpChannel, tcpFailed } from './tcp-channel.ts';
import type { TcpLocal } from './tcp-channel.ts';
import { TcpConnecting } from './tcp-connecting.ts';
import { TcpListening } from './tcp-listening.ts';
import { tcpSettings } from './tcp-options.ts';
import type { TcpDriverOptions } from './tcp-options.ts';
import { handleRecord, listenerRecord, tcpAddress } from './tcp-places.ts';
import type { TcpPeer } from './tcp-places.ts';
import { TcpSockets } from './tcp-sockets.ts';

export type { TcpConnectSettings, TcpDriverOptions, TcpListenSettings, TcpTlsSettings } from './tcp-options.ts';

/**
 * The actor that speaks for TCP in a space.
 *
 *     space.spawn(tcpDriver());
 *     space.spawn((self) =>
 *       self.observePublishers(tcpChannel(_, tcpListener(5999), _), {
 *         onPresence: ({ topic }) => self.spawn(chatter(topic.source, topic.destination)),
 *       }),
 *     );
 *
 * **Ports.** Who observes the publishers of `tcpChannel(_, listener, _)`, or the subscribers of `tcpChannel(listener, _, _)`, wants the
 * port of that listener; those who say the same listener share it, and the last to go closes it. While it is open
 * `tcpBound(listener, address)` is published for each address; while it can't be had, `tcpFailed(listener, null, code, message)`. It
 * is not tried again before the demand has gone and come back. Connections live on when their port is closed.
 *
 * **Connections.** Who publishes `tcpChannel(handle, address, _)` or subscribes to `tcpChannel(address, handle, _)` wants a
 * connection. It is made once for a handle and an address. When it can't be had, `tcpFailed(handle, address, code, message)` is
 * published as long as somebody wants it. A connection, made or accepted, publishes `tcpChannel(remote, local, _)` and subscribes
 * to `tcpChannel(local, remote, _)`. One that was accepted is closed when no participant is there within `claimTimeout`.
 *
 * **Bytes.** Nothing is read while no participant subscribes, nor while more than `inputLimit` bytes are not dealt with: the peer
 * waits, and nothing is dropped. Bodies that are sent are bytes, or texts that go out as UTF-8. More than `writeLimit` of them unsent
 * ends the connection (`ERR_PORTSIDE_WRITE_OVERFLOW`).
 *
 * **Ends.** The peer's end is a `tcpEnd()` and then the absence of the publisher. A `tcpEnd()` that is sent, or the last publisher's
 * going, ends the output. The last participant's going flushes and closes. A connection that fails is absent with a reason that has
 * a `tcpFailed` as its detail; so is one that somebody sent what can't be sent.
 *
 * **Credit.** With `credit: true` in the listener or handle nothing is read before `feedback(tcpChannel(remote, local, tcpCredit(n)))`.
 * Then one message of exactly `n` bytes comes; after `tcpMode('lines')`, which takes all credit back, `n` lines without their endings.
 * At the end what there is. Each body of `n` bytes that is sent is answered by `tcpCredit(n)` fed back on `tcpChannel(local, remote, _)`
 * once it is with the kernel.
 *
 * Sockets belong to the scope in which `tcpDriver` was called, and end when this actor does. `space.run()` waits while a port or
 * connection is open.
 *
 * @throws ERR_PORTSIDE_OPTIONS with everything that is wrong.
 */
export function tcpDriver(options?: TcpDriverOptions): Boot {
  const settings = tcpSettings(options);
  const around = currentScope();
  return (self) => {
    const sockets = new TcpSockets(settings, around, self.clock);
    self.onEnd(() => sockets.close());
    openPorts(self, sockets);
    makeConnections(self, sockets);
  };
}

function openPorts(self: Self, sockets: TcpSockets): void {
  const listener = listenerRecord(
    capture('port'),
    capture('host'),
    capture('backlog'),
    capture('tls'),
    capture('credit'),
  );
  matchDemand(self, {
    name: 'tcp port',
    demand: [
      subscribersOf(tcpChannel(_, listener, _), 'observers'),
      publishersOf(tcpChannel(listener, _, _), 'observers'),
    ],
    start(task, { bindings: { port, host, backlog, tls, credit } }) {
      void new TcpListening(task, listenerRecord(port, host, backlog, tls, credit), sockets);
    },
    giveUp: (reason, { bindings: { port, host, backlog, tls, credit } }) =>
      noteLoss(self, listenerRecord(port, host, backlog, tls, credit), null, reason),
  });
}

function makeConnections(self: Self, sockets: TcpSockets): void {
  const made = new Map<ActorId, TcpConnecting>();
  const handle = handleRecord(capture('id'), capture('tls'), capture('credit'));
  const address = tcpAddress(capture('host'), capture('port'));
  matchDemand(self, {
    name: 'tcp connection',
    demand: [publishersOf(tcpChannel(handle, address, _)), subscribersOf(tcpChannel(address, handle, _))],
    start(task, { bindings: { id, tls, credit, host, port } }) {
      task.onEnd(() => made.delete(task.id));
      made.set(task.id, new TcpConnecting(task, handleRecord(id, tls, credit), tcpAddress(host, port), sockets));
    },
    stop(actor) {
      if (made.get(actor)?.stop() !== true) self.quit(actor, 'no demand');
    },
    // How long it takes to flush is for the connection's own limits.
    stopTimeout: Number.POSITIVE_INFINITY,
    restart: false,
    giveUp: (reason, { bindings: { id, tls, credit, host, port } }) =>
      noteLoss(self, handleRecord(id, tls, credit), tcpAddress(host, port), reason),
  });
}

/** Publishes that what was wanted was lost by a failure; what came to its end is no news. */
function noteLoss(self: Self, local: TcpLocal, remote: TcpPeer | null, reason: EndReason): EndpointHandle | undefined {
  if (reason.kind !== 'failed') return undefined;
  const { code = 'ERR_PORTSIDE_STATE', message } = reason.error;
  return self.publish(tcpFailed(local, remote, code, message));
}

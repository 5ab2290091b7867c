import type { Scope } from '../sync/scope.ts';
import { formatAddress } from '../transport/address.ts';
import type { Channel } from '../transport/contract.ts';
import { link, makeConnection } from './connection.ts';
import type { Connection } from './connection.ts';
import { watches } from './deadlines.ts';
import { arrive } from './hand-over.ts';
import type { Link } from './link.ts';
import { openingOf } from './opening.ts';
import type { ConnectionSettings } from './settings.ts';

/** A {@link Connection} on a channel, owned by `scope` when there is one. */
export function openConnection(channel: Channel, settings: ConnectionSettings, scope: Scope | undefined): Connection {
  const connection = makeConnection(channel, settings);
  const letter = channel.letter ?? null;
  if (scope === undefined && letter === null && settings.opening === null && !watches(settings.deadlines))
    return connection;
  const inside = link(connection);
  if (scope !== undefined) own(inside, scope);
  if (letter !== null) {
    const { age, heard } = arrive(inside, letter);
    channel.letter = null;
    // Nobody waits for the first byte of one whose first byte has come, though what is counted here begins anew.
    inside.received = heard ? 1 : 0;
    inside.watchOver(settings.deadlines, age);
    inside.received = 0;
    return connection;
  }
  inside.watchOver(settings.deadlines, 0);
  if (settings.opening !== null) openingOf(inside, settings.opening);
  return connection;
}

function own(inside: Link, scope: Scope): void {
  const { channel } = inside;
  try {
    inside.life.disown = scope.own({
      get what() {
        return `connection from ${formatAddress(channel.remote)}`;
      },
      async drop() {
        inside.destroy('drop', null);
        await inside.closed;
      },
    });
  } catch (error) {
    inside.destroy('drop', null);
    throw error;
  }
  inside.life.clock = scope.clock;
}

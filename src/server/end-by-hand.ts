import { ClosedError } from '../base/errors.ts';
import { list, integer, oneOf } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import type { CloseReason } from '../net/close-reason.ts';
import type { Connection } from '../net/connection.ts';
import { link } from '../net/connection.ts';

/** How connections are ended from outside: in order, with what is queued sent within the linger time, or by a reset. */
export type EndByHand = 'close' | 'reset';

export const endByHandRule: Rule<EndByHand> = oneOf('close', 'reset');

/** Numbers of connections. */
export const idsRule: Rule<readonly number[]> = list(integer({ min: 1 }), { max: 1_000_000 });

/** Ends a connection for somebody who is not its handler. Whether there was anything to end: one that is closing already is only ended by a reset. */
export function endByHand(
  connection: Connection,
  how: EndByHand,
  begun: boolean,
  hardClose: (why: CloseReason) => void,
): boolean {
  const inside = link(connection);
  if (inside.reason !== null) return false;
  if (how === 'reset') {
    hardClose({ kind: 'aborted', cause: new ClosedError('the connection was ended by its number') });
    return true;
  }
  if (inside.closing) return false;
  // Nobody can be told anything before the handshakes are over.
  if (begun) void connection.close();
  else inside.destroy('drop', null);
  return true;
}

import { PortsideError } from '../base/errors.ts';
import { check, checkValue, oneOf, table, that } from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import { TlsServerContext } from '../transport/tls/context.ts';
import { tlsServerRule } from '../transport/tls/server-options.ts';
import type { TlsServerOptions } from '../transport/tls/server-options.ts';
import { tlsClientRule } from '../transport/tls/client.ts';
import type { TlsClientOptions } from '../transport/tls/client.ts';
import type { SecureChannel, TlsInfo } from '../transport/tls/handshake.ts';
import { asOwnEnd, closedError, mustBeIdle } from './link-errors.ts';
import { INPUT_CLOSED } from './link-state.ts';
import type { Link } from './link.ts';
import { HANDSHAKE_TIMEOUT, upgrade } from './opening.ts';
import type { TlsStart } from './opening.ts';

/** How TLS is begun on a connection that is open already. */
export interface UpgradeTlsOptions {
  /** Which side of the handshake. @default 'server' for an accepted connection, 'client' for one made by `connect` */
  role?: 'server' | 'client' | undefined;
  /**
   * Certificates for the server, what to trust for the client. For a server that upgrades many connections give a `TlsServerContext`: options are read and
   * checked anew each time. @default those of the listener; for a client, what Node trusts
   */
  tls?: TlsServerOptions | TlsServerContext | TlsClientOptions | undefined;
}

const upgradeTable = table('upgradeTls', {
  role: oneOf('server', 'client'),
  tls: that<TlsServerOptions | TlsServerContext | TlsClientOptions>(
    'an object of options',
    (value) => typeof value === 'object' && value !== null,
  ),
});
const agreed: Agrees<typeof upgradeTable, UpgradeTlsOptions> = true;
void agreed;

const ignore = (): void => {};

/** What `Connection.upgradeTls` does. */
export function upgradeTls(link: Link, options: UpgradeTlsOptions | undefined): Promise<TlsInfo> {
  const done = begin(link, options);
  // A peer can make it fail; nobody has to look.
  done.catch(ignore);
  return done;
}

/** Whether `Connection.upgradeTls` can be had without further options. */
export function canUpgradeTls(link: Link): boolean {
  if (whyNot(link) !== null) return false;
  return link.settings.role === 'client' || (link.settings.opening !== null && link.settings.opening.tls !== null);
}

/** Up to its end it runs in the caller's turn, so that what is written right after the call goes under TLS. */
async function begin(link: Link, options: UpgradeTlsOptions | undefined): Promise<TlsInfo> {
  const { role = link.settings.role, tls }: UpgradeTlsOptions = check(upgradeTable, options);
  const start = role === 'server' ? serverStart(link, tls) : clientStart(link, tls);
  const why = whyNot(link);
  if (why !== null) throw why;
  mustBeIdle(link, 'upgradeTls');
  void link.uncork(true);
  refuseEarly(link);
  const { handshakeTimeout = HANDSHAKE_TIMEOUT } = start.of;
  const opening = upgrade(link, start.begin, handshakeTimeout);
  await opening.done;
  return (link.channel as SecureChannel).tls;
}

/** What stands in the way of beginning TLS now, on whichever side. */
function whyNot(link: Link): PortsideError | null {
  if (link.closing) return closedError(link, 'upgradeTls');
  const state = (message: string): PortsideError =>
    new PortsideError('ERR_PORTSIDE_STATE', message, link.detail('upgradeTls'));
  if ('tls' in link.channel) return state('the connection is under TLS already');
  if (link.opening) return state('the handshakes of the connection are under way already');
  if (link.outputEnded) return state('TLS needs both directions, and the output was ended on this side');
  if ((link.state & INPUT_CLOSED) !== 0)
    return state('TLS needs both directions, and the input was closed on this side');
  return null;
}

/** What came before TLS must not be taken for what comes under it: anybody may have put it in. */
function refuseEarly(link: Link): void {
  // A write that was held back may have been too much.
  if (link.closing) throw closedError(link, 'upgradeTls');
  const detail = link.detail('upgradeTls');
  let error: PortsideError;
  if (link.unreadBytes > 0 || link.consumer?.partial?.() === true) {
    error = new PortsideError(
      'ERR_PORTSIDE_TOO_EARLY',
      'bytes came before TLS was begun; the peer did not wait, or somebody put them in',
      detail,
    );
  } else if (link.peerEnded) {
    error = new PortsideError(
      'ERR_PORTSIDE_UNEXPECTED_END',
      'the peer ended the connection before TLS was begun',
      detail,
    );
  } else return;
  link.destroy('reset', { kind: 'handshake', error });
  throw asOwnEnd(link, error);
}

/** How to begin, and the options that tell how long it may take. */
interface Start {
  readonly of: { readonly handshakeTimeout?: number | undefined };
  readonly begin: TlsStart | (() => Promise<TlsStart>);
}

function serverStart(link: Link, tls: UpgradeTlsOptions['tls']): Start {
  const given = tls ?? link.settings.opening?.tls ?? null;
  if (given === null) {
    throw new PortsideError(
      'ERR_PORTSIDE_CERTIFICATE',
      'upgradeTls: there is no certificate; give tls: { cert, key } here or to the listener',
      link.detail('upgradeTls'),
    );
  }
  if (given instanceof TlsServerContext) return { of: given, begin: { role: 'server', context: given } };
  const options: TlsServerOptions = checkValue('upgradeTls', 'tls', tlsServerRule, given);
  // Nobody would close what watches the files.
  const once = { ...options, watch: false };
  return { of: options, begin: async () => ({ role: 'server', context: await TlsServerContext.create(once) }) };
}

function clientStart(link: Link, tls: UpgradeTlsOptions['tls']): Start {
  const options: TlsClientOptions = checkValue('upgradeTls', 'tls', tlsClientRule, tls ?? NO_OPTIONS);
  const { remote } = link;
  const host = link.settings.host ?? ('host' in remote ? remote.host : undefined);
  return { of: options, begin: { role: 'client', options, host } };
}

/** One object, since what it stands for is kept with it. */
export const NO_OPTIONS: TlsClientOptions = Object.freeze({});

/** The certificates that were given, read and checked. */
export async function serverContext(tls: TlsServerOptions | TlsServerContext): Promise<TlsServerContext> {
  return tls instanceof TlsServerContext ? tls : TlsServerContext.create(tls);
}

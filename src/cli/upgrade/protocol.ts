import type { HandedSockets, SocketPlace, SocketRole } from '../../net/handed.ts';

/** The environment variable by which a program learns that it is supervised: a {@link Start} as JSON. */
export const VARIABLE = 'PORTSIDE_SUPERVISED';

/**
 * What supervisor and program say to one another, over the channel of Node's child processes. A supervisor stays the version that it was started as, while the
 * programs below it change: what is sent here can be added to, and not changed.
 */
export interface Start {
  readonly version: 1;
  readonly sockets: readonly HandedSockets[];
  /** Every so many milliseconds the program says that it lives; null: nobody wants to know. */
  readonly beat: number | null;
}

/** A listening socket that a program needs. */
export interface SocketRequest extends SocketPlace {
  readonly key: string;
  readonly role: SocketRole;
  readonly mode?: number | undefined;
  readonly reuse?: boolean | undefined;
  readonly reusePort?: boolean | undefined;
}

/** What a program says. */
export type FromProgram =
  /** All the sockets that it needs. Without `complete` it ends, to be started again with those that it lacked. `json`: nothing but JSON lines is to be on standard error. */
  | {
      readonly portside: 'wants';
      readonly sockets: readonly SocketRequest[];
      readonly complete: boolean;
      readonly json?: boolean | undefined;
    }
  /** It serves. `told`: what and where. */
  | { readonly portside: 'ready'; readonly told: string }
  /** It takes up new code or certificates, until it is ready again. */
  | { readonly portside: 'reloading' }
  /** Its end has begun, and is the end of all; one that can't go on says nothing, and dies. */
  | { readonly portside: 'leaving' }
  /** It takes nobody any more from the sockets that others have too. */
  | { readonly portside: 'left' }
  /** It has told the user this, while it was not ready. */
  | { readonly portside: 'said'; readonly text: string }
  | { readonly portside: 'alive' }
  /** It was asked for an upgrade. */
  | { readonly portside: 'upgrade'; readonly id: number };

/** What it is told. */
export type ToProgram =
  /** Another one serves: take nobody any more, and say so. */
  | { readonly portside: 'leave' }
  /** Everything that was asked is answered: come to the end. `pid`: the one that serves. */
  | { readonly portside: 'drain'; readonly pid: number }
  | { readonly portside: 'upgraded'; readonly id: number; readonly result: UpgradeResult };

/** What an upgrade came to. */
export type UpgradeResult =
  | { readonly ok: true; readonly pid: number; readonly before: number }
  | { readonly ok: false; readonly code: string; readonly why: string };

/** Whether something that came over the channel is of ours: a module of the user's may send as well. */
export function isMessage(value: unknown): value is { readonly portside: string } {
  return typeof value === 'object' && value !== null && 'portside' in value && typeof value.portside === 'string';
}

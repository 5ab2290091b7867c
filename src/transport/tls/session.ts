import type { TLSSocket } from 'node:tls';
import { rethrowSoon } from '../../sync/rethrow.ts';

const MARK = Buffer.from('portside.tls.session.1\0', 'latin1');

/**
 * A session with the name that its server was verified for. A server that resumes one shows no certificate, so Node compares no names then; some
 * versions of Node keep the name themselves, and others don't.
 */
export function sealSession(session: Uint8Array, name: string): Uint8Array {
  const named = Buffer.from(name, 'utf8');
  const length = Buffer.alloc(2);
  length.writeUInt16BE(named.length);
  return new Uint8Array(Buffer.concat([MARK, length, named, session]));
}

/** The session within, when it is one of {@link sealSession} and for this name; else null, and there is a full handshake. */
export function openSession(sealed: Uint8Array, name: string): Buffer | null {
  const bytes = Buffer.from(sealed);
  const start = MARK.length + 2;
  if (bytes.length < start || !bytes.subarray(0, MARK.length).equals(MARK)) return null;
  const end = start + bytes.readUInt16BE(MARK.length);
  return bytes.length > end && bytes.toString('utf8', start, end) === name ? bytes.subarray(end) : null;
}

/** Hands the sessions of a client on, once its server is known to be the right one: TLS 1.2 gives them before. */
export class Sessions {
  readonly #name: string;
  readonly #told: (session: Uint8Array) => void;
  #waiting: Buffer[] | null = [];

  constructor(socket: TLSSocket, name: string, told: (session: Uint8Array) => void) {
    this.#name = name;
    this.#told = told;
    socket.on('session', (session: Buffer) => {
      if (this.#waiting !== null) this.#waiting.push(session);
      else this.#tell(session);
    });
  }

  /** Those of a server that is not verified are not handed on, as whoever resumes them takes it for verified. */
  verified(authorized: boolean): void {
    if (!authorized) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const session of waiting) this.#tell(session);
  }

  #tell(session: Buffer): void {
    try {
      this.#told(sealSession(session, this.#name));
    } catch (error) {
      rethrowSoon(error);
    }
  }
}

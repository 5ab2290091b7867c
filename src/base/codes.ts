/**
 * Every code that Portside itself gives to an error, with the sentence that the
 * reference prints for it. Errors of the system keep the system's code
 * (`EADDRINUSE`, `ECONNRESET`, …) and are not listed here.
 */
export const codes = {
  ERR_PORTSIDE_ABORTED: 'The operation was called off before it was done.',
  ERR_PORTSIDE_CERTIFICATE: 'A certificate or key is missing, unreadable, expired, or does not fit the other.',
  ERR_PORTSIDE_CLOSED: 'The listener, connection or socket is closed on this side.',
  ERR_PORTSIDE_ENDPOINT: 'An endpoint could not be understood.',
  ERR_PORTSIDE_FRAME_INVALID: 'A frame does not follow its format.',
  ERR_PORTSIDE_FRAME_TOO_LONG: 'A frame is longer than its limit.',
  ERR_PORTSIDE_GUARD: 'A guard of the current scope refused to listen or connect.',
  ERR_PORTSIDE_HANDLER: 'A module or value is not a handler.',
  ERR_PORTSIDE_LIMIT: 'More was asked for, or arrived, than a limit allows.',
  ERR_PORTSIDE_MODULE: 'A module could not be found or loaded.',
  ERR_PORTSIDE_NO_WORKER: 'No worker of that index serves now, or the parallel listener is stopping.',
  ERR_PORTSIDE_OPTIONS: 'One or more options or arguments are wrong; `problems` lists them all.',
  ERR_PORTSIDE_PROXY_HEADER:
    'A PROXY protocol header is missing, malformed, or comes from an address that is not trusted.',
  ERR_PORTSIDE_READ_BUSY: 'A read was begun while another one was waiting.',
  ERR_PORTSIDE_RELEASED: 'The connection was released and belongs to somebody else.',
  ERR_PORTSIDE_SCOPE_CLOSED: 'The scope that would own the resource is closed.',
  ERR_PORTSIDE_SERVICE: 'A service name has no known port.',
  ERR_PORTSIDE_STATE: 'What was asked for does not fit the state that the server, connection or actor is in.',
  ERR_PORTSIDE_TIMEOUT: 'The time given to the operation ran out.',
  ERR_PORTSIDE_TLS: 'TLS could not be begun: the handshake failed, or the peer could not be verified.',
  ERR_PORTSIDE_TOPIC:
    'What was given as a topic, a message or a reason is not plain data, or has a hole or a name in a wrong place.',
  ERR_PORTSIDE_TOO_EARLY: 'Bytes came before TLS was begun, and must not be taken for what comes under it.',
  ERR_PORTSIDE_UNEXPECTED_END: 'The input ended in the middle of what was asked for.',
  ERR_PORTSIDE_UNSUPPORTED: 'The transport or the platform cannot do what was asked for.',
  ERR_PORTSIDE_WORKER:
    'A worker of a parallel listener, or the new version in an upgrade, failed to start, died, or did not answer.',
  ERR_PORTSIDE_WRITE_AFTER_END: 'A write came after the output was ended on this side.',
  ERR_PORTSIDE_WRITE_OVERFLOW: 'More output was queued than the write limit allows.',
} as const;

/** A code of Portside's own, `ERR_PORTSIDE_…`. */
export type PortsideCode = keyof typeof codes;

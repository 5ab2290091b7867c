/** What the kernel knows about a TCP connection (TCP_INFO, tcp(7)). Times are milliseconds. What an old kernel does not tell is 0. */
export interface TcpInfo {
  readonly state: TcpState;
  /** The smoothed round trip, how much it varies, and the shortest one lately. */
  readonly roundTrip: number;
  readonly roundTripVariance: number;
  readonly shortestRoundTrip: number;
  /** After how long without an acknowledgement something is sent again. */
  readonly retransmitTimeout: number;
  /** How often in a row that has happened; 0 when all is well. */
  readonly timeouts: number;
  /** Segments that were sent again, since the beginning. */
  readonly retransmitted: number;
  /** Segments that are on their way and not acknowledged, and those of them that are taken for lost. */
  readonly unacknowledged: number;
  readonly lost: number;
  /** The congestion window, in segments. */
  readonly congestionWindow: number;
  /** Bytes in a segment at most, sent and received, and in a packet of the path. */
  readonly sendSegment: number;
  readonly receiveSegment: number;
  readonly pathMtu: number;
  /** How long ago data was last sent, and received. */
  readonly sinceSent: number;
  readonly sinceReceived: number;
  /** Bytes in the kernel that were not sent yet. */
  readonly notSent: number;
  /** Bytes that the peer has acknowledged, of which the beginning of a connection that was dialled is one, and that came from it. */
  readonly bytesAcknowledged: number;
  readonly bytesReceived: number;
  /** Segments with data that were sent, and that came. */
  readonly segmentsSent: number;
  readonly segmentsReceived: number;
  /** Bytes a second that arrive at the peer, as measured lately. */
  readonly deliveryRate: number;
}

/** The states of RFC 9293, section 3.3.2. */
export type TcpState =
  | 'established'
  | 'syn-sent'
  | 'syn-received'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'time-wait'
  | 'closed'
  | 'close-wait'
  | 'last-ack'
  | 'listen'
  | 'closing';

/** In the order of the kernel's numbers, from 1 on. */
const states: readonly TcpState[] = [
  'established',
  'syn-sent',
  'syn-received',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listen',
  'closing',
];

/** Bytes of `struct tcp_info` that are read: up to its delivery rate. */
export const TCP_INFO_BYTES = 168;

/** Reads `struct tcp_info` of Linux, which only ever grows at its end; the rest of the bytes has to be zero. */
export function readTcpInfo(bytes: Uint8Array): TcpInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, TCP_INFO_BYTES);
  // The byte order is the machine's, and Node runs on little-endian ones, but for s390x.
  const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  const word = (at: number): number => view.getUint32(at, little);
  const long = (at: number): number => Number(view.getBigUint64(at, little));
  return {
    state: states[view.getUint8(0) - 1] ?? 'closed',
    roundTrip: word(68) / 1_000,
    roundTripVariance: word(72) / 1_000,
    shortestRoundTrip: word(148) / 1_000,
    retransmitTimeout: word(8) / 1_000,
    timeouts: view.getUint8(2),
    retransmitted: word(100),
    unacknowledged: word(24),
    lost: word(32),
    congestionWindow: word(80),
    sendSegment: word(16),
    receiveSegment: word(20),
    pathMtu: word(60),
    sinceSent: word(44),
    sinceReceived: word(52),
    notSent: word(144),
    bytesAcknowledged: long(120),
    bytesReceived: long(128),
    segmentsSent: word(156),
    segmentsReceived: word(152),
    deliveryRate: long(160),
  };
}

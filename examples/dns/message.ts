import { readName, skipName, writeName } from './names.ts';
import { dnsQuestion } from './topics.ts';
import type { DnsQuestion } from './topics.ts';

// A forwarder need not know what is in the records: it keeps an answer's bytes as they came, with names compressed
// against each other, and changes within them what is its own to change: the header, the case of the question, the TTLs.

export const TYPE = { SOA: 6, OPT: 41, TKEY: 249, IXFR: 251, AXFR: 252, MAILA: 254, ANY: 255 } as const;
export const CLASS_IN = 1;
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;
export const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const;

/** Bytes of the header. */
export const HEADER = 12;
/** What every client takes by UDP. */
export const PLAIN_SIZE = 512;
/** What is asked of servers and given to clients by UDP at most: more may come in fragments, and not at all. */
export const EDNS_SIZE = 1_232;
const OPT_LENGTH = 11;
/** Seconds for which an answer is kept at most, and that there is none. */
const LONGEST_KEPT = 86_400;
const LONGEST_MISSING = 10_800;
const DNSSEC_OK = 0x8000;

/** What the first bytes of a message say. */
export interface Header {
  readonly id: number;
  readonly flags: number;
  readonly isAnswer: boolean;
  readonly opcode: number;
  /** The number of questions, and of the records in each of the three sections. */
  readonly counts: readonly [questions: number, answers: number, authorities: number, additionals: number];
}

/** A record, with its data left where it is. */
export interface ResourceRecord {
  readonly section: 'answers' | 'authorities' | 'additionals';
  readonly start: number;
  readonly type: number;
  readonly ttl: number;
  /** Where its TTL stands. */
  readonly ttlAt: number;
  readonly end: number;
}

/** What either side says about itself (RFC 6891). */
export interface Edns {
  readonly start: number;
  readonly size: number;
  readonly version: number;
  readonly dnssec: boolean;
  /** The upper bits of the response code. */
  readonly rcode: number;
}

/** A message with one question. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly header: Header;
  readonly question: DnsQuestion;
  readonly questionEnd: number;
  /** All but the one that says what {@link Message.edns} does. */
  readonly records: readonly ResourceRecord[];
  readonly edns: Edns | null;
}

/** Null for what is too short to be a message. */
export function readHeader(bytes: Uint8Array): Header | null {
  if (bytes.length < HEADER) return null;
  const view = viewOf(bytes);
  const flags = view.getUint16(2);
  return {
    id: view.getUint16(0),
    flags,
    isAnswer: (flags & FLAG.QR) !== 0,
    opcode: (flags >> 11) & 15,
    counts: [view.getUint16(4), view.getUint16(6), view.getUint16(8), view.getUint16(10)],
  };
}

/** Null for what has not exactly one question, or is not a message from its first byte to its last. */
export function readMessage(bytes: Uint8Array): Message | null {
  const header = readHeader(bytes);
  if (header === null || header.counts[0] !== 1) return null;
  const read = readName(bytes, HEADER);
  if (read === null || read.end + 4 > bytes.length) return null;
  const view = viewOf(bytes);
  const questionEnd = read.end + 4;
  const records: ResourceRecord[] = [];
  let edns: Edns | null = null;
  let at = questionEnd;
  for (const [i, section] of (['answers', 'authorities', 'additionals'] as const).entries()) {
    for (let left = header.counts[i + 1] as number; left > 0; left -= 1) {
      const found = readRecord(bytes, view, at, section);
      if (found === null) return null;
      const { type, end } = found;
      if (type === TYPE.OPT) {
        if (edns !== null || section !== 'additionals' || bytes[at] !== 0) return null;
        edns = readEdns(view, at);
      } else records.push(found);
      at = end;
    }
  }
  if (at !== bytes.length) return null;
  const [type, kind] = [view.getUint16(read.end), view.getUint16(read.end + 2)];
  const unchecked = (header.flags & FLAG.CD) !== 0;
  const question = dnsQuestion(read.name, type, kind, edns?.dnssec ?? false, unchecked);
  return { bytes, header, question, questionEnd, records, edns };
}

function readRecord(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  section: ResourceRecord['section'],
): ResourceRecord | null {
  const at = skipName(bytes, start);
  if (at < 0 || at + 10 > bytes.length) return null;
  const end = at + 10 + view.getUint16(at + 8);
  if (end > bytes.length) return null;
  const ttl = view.getUint32(at + 4);
  // RFC 2181 section 8: one with its highest bit set counts as none.
  return { section, start, type: view.getUint16(at), ttl: ttl > 0x7fff_ffff ? 0 : ttl, ttlAt: at + 4, end };
}

function readEdns(view: DataView, start: number): Edns {
  return {
    start,
    size: view.getUint16(start + 3),
    rcode: view.getUint8(start + 5),
    version: view.getUint8(start + 6),
    dnssec: (view.getUint16(start + 7) & DNSSEC_OK) !== 0,
  };
}

/** The response code, with the upper bits that a record of EDNS may give it. */
export function rcodeOf({ header, edns }: Message): number {
  return (header.flags & 15) | ((edns?.rcode ?? 0) << 4);
}

/** What a server is asked. Some old ones know nothing of EDNS. */
export function writeQuery(id: number, question: DnsQuestion, edns: boolean): Uint8Array {
  const name = writeName(question.name);
  const bytes = new Uint8Array(HEADER + name.length + 4 + (edns ? OPT_LENGTH : 0));
  const end = HEADER + name.length;
  bytes.set(name, HEADER);
  const view = viewOf(bytes);
  view.setUint16(0, id);
  view.setUint16(2, FLAG.RD | (question.unchecked ? FLAG.CD : 0));
  view.setUint16(4, 1);
  view.setUint16(end, question.type);
  view.setUint16(end + 2, question.class);
  if (edns) writeEdns(view, end + 4, 0, question.dnssec);
  return bytes;
}

/**
 * Whether this is a server's answer to that query. Some that know nothing of EDNS say only that they don't understand,
 * and not what.
 */
export function isAnswerTo(query: Uint8Array, answer: Uint8Array): boolean {
  const [asked, header] = [readMessage(query), readHeader(answer)];
  if (asked === null || header === null) return false;
  if (!header.isAnswer || header.opcode !== 0 || header.id !== asked.header.id) return false;
  if (header.counts[0] === 0) return answer.length === HEADER && isMisunderstood(header);
  const said = readMessage(answer);
  if (said === null) return false;
  const { name, type, class: kind } = asked.question;
  return said.question.name === name && said.question.type === type && said.question.class === kind;
}

/** Whether a server may have stumbled over EDNS. */
export function isMisunderstood({ flags }: Header): boolean {
  return (flags & 15) === RCODE.FORMERR || (flags & 15) === RCODE.NOTIMP;
}

/** An answer as it is kept: without what its server said about itself, and without what came behind that. */
export function keep({ bytes, records, edns }: Message): Uint8Array {
  if (edns === null) return bytes;
  // Not a slice: that of a Buffer is not a copy.
  const kept = new Uint8Array(bytes.subarray(0, edns.start));
  const additionals = records.filter(({ section, start }) => section === 'additionals' && start < edns.start).length;
  viewOf(kept).setUint16(10, additionals);
  return kept;
}

/**
 * Seconds for which an answer holds; 0 for one that is not to be kept. What is not there is so for as long as the zone
 * says (RFC 2308), and no longer than it is told.
 */
export function lifetimeOf({ bytes, header, question, records }: Message): number {
  const rcode = header.flags & 15;
  if ((rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) || records.length === 0) return 0;
  const lifetime = records.reduce((shortest, { ttl }) => Math.min(shortest, ttl), LONGEST_KEPT);
  const found = records.some(({ section, type }) => section === 'answers' && isAskedFor(question.type, type));
  if (found && rcode === RCODE.NOERROR) return lifetime;
  const soa = records.find(({ section, type }) => section === 'authorities' && type === TYPE.SOA);
  if (soa === undefined) return 0;
  // The minimum is the last field of it.
  return Math.min(lifetime, LONGEST_MISSING, viewOf(bytes).getUint32(soa.end - 4));
}

function isAskedFor(asked: number, type: number): boolean {
  return asked === type || asked === TYPE.ANY;
}

/**
 * A kept answer for who asks now: with his id, his spelling of the name, and what is left of the TTLs. What does not go
 * into `limit` bytes goes without the records that are only a help, or else without any, and says so.
 */
export function writeAnswer(query: Message, kept: Message, age: number, limit: number): Uint8Array {
  const room = limit - (query.edns === null ? 0 : OPT_LENGTH);
  const helpers = kept.records.find(({ section }) => section === 'additionals')?.start ?? kept.bytes.length;
  let end = kept.bytes.length <= room ? kept.bytes.length : helpers;
  const truncated = end > room;
  if (truncated) end = kept.questionEnd;
  const bytes = new Uint8Array(end + (query.edns === null ? 0 : OPT_LENGTH));
  bytes.set(kept.bytes.subarray(0, end));
  bytes.set(query.bytes.subarray(HEADER, query.questionEnd), HEADER);
  const view = viewOf(bytes);
  view.setUint16(0, query.header.id);
  // Nothing here is checked by DNSSEC, and nothing is said to be.
  const own = FLAG.QR | FLAG.RA | (truncated ? FLAG.TC : 0);
  view.setUint16(2, own | (query.header.flags & (FLAG.RD | FLAG.CD)) | (kept.header.flags & 15));
  if (truncated) view.setUint32(6, 0);
  if (end < kept.bytes.length) view.setUint16(10, 0);
  for (const { ttl, ttlAt, end: over } of kept.records) if (over <= end) view.setUint32(ttlAt, Math.max(0, ttl - age));
  if (query.edns !== null) writeEdns(view, end, 0, query.edns.dnssec);
  return bytes;
}

/** A refusal, or another answer that is nothing but its code. `message` is null where the rest could not be read. */
export function writeCode(header: Header, message: Message | null, rcode: number): Uint8Array {
  const questionEnd = message?.questionEnd ?? HEADER;
  const edns = message?.edns ?? null;
  const bytes = new Uint8Array(questionEnd + (edns === null ? 0 : OPT_LENGTH));
  if (message !== null) bytes.set(message.bytes.subarray(HEADER, questionEnd), HEADER);
  const view = viewOf(bytes);
  view.setUint16(0, header.id);
  view.setUint16(2, FLAG.QR | FLAG.RA | (header.flags & (0x7800 | FLAG.RD | FLAG.CD)) | (rcode & 15));
  view.setUint16(4, message === null ? 0 : 1);
  if (edns !== null) writeEdns(view, questionEnd, rcode >> 4, edns.dnssec);
  return bytes;
}

/** An answer to a question that is nothing but its code. */
export function codeFor(question: DnsQuestion, rcode: number): Uint8Array {
  const query = readMessage(writeQuery(0, question, false)) as Message;
  return writeCode(query.header, query, rcode);
}

function writeEdns(view: DataView, start: number, rcode: number, dnssec: boolean): void {
  view.setUint16(start + 1, TYPE.OPT);
  view.setUint16(start + 3, EDNS_SIZE);
  view.setUint8(start + 5, rcode);
  view.setUint16(start + 7, dnssec ? DNSSEC_OK : 0);
  view.setUint16(10, view.getUint16(10) + 1);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

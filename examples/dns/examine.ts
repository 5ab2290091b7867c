import { CLASS_IN, FLAG, RCODE, readHeader, readMessage, TYPE, writeCode } from './message.ts';
import type { Message } from './message.ts';

/** What is done about what a client sent. */
export type Examined =
  /** Nothing: whoever answers what is no question may be made to talk with another server for ever. */
  | { readonly kind: 'ignore' }
  | { readonly kind: 'refuse'; readonly answer: Uint8Array }
  | { readonly kind: 'ask'; readonly query: Message };

/** Looks at what a client sent, which may be anything. */
export function examine(bytes: Uint8Array): Examined {
  const header = readHeader(bytes);
  if (header === null || header.isAnswer) return { kind: 'ignore' };
  if (header.opcode !== 0) return { kind: 'refuse', answer: writeCode(header, null, RCODE.NOTIMP) };
  const query = readMessage(bytes);
  if (query === null) return { kind: 'refuse', answer: writeCode(header, null, RCODE.FORMERR) };
  const code = refusalOf(query);
  return code === null ? { kind: 'ask', query } : { kind: 'refuse', answer: writeCode(header, query, code) };
}

function refusalOf({ header, question, edns }: Message): number | null {
  const { type } = question;
  if (edns !== null && edns.version > 0) return RCODE.BADVERS;
  // Zone transfers, keys, and what else is no type of a record; it may have records of its own in its question.
  if (type >= TYPE.TKEY && type <= TYPE.MAILA) return RCODE.REFUSED;
  if (header.counts[1] > 0 || header.counts[2] > 0 || type === 0 || type === TYPE.OPT) return RCODE.FORMERR;
  // Who asks for what is known already, and no more, wants to know what others asked.
  const recursion = (header.flags & FLAG.RD) !== 0;
  return question.class === CLASS_IN && recursion ? null : RCODE.REFUSED;
}

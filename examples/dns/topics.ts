import { record } from 'portside/dataspace';
import type { RecordMaker, RecordOf } from 'portside/dataspace';

/** What is asked. Questions that are equal have one answer. */
export const dnsQuestion: RecordMaker<
  'dns-question',
  readonly ['name', 'type', 'class', 'dnssec', 'unchecked'],
  {
    /** As zone files write it, in lower case. */
    name: string;
    type: number;
    class: number;
    /** Whether signatures are wanted too (DO), and what is wrongly signed (CD). */
    dnssec: boolean;
    unchecked: boolean;
  }
> = record('dns-question', ['name', 'type', 'class', 'dnssec', 'unchecked']).of();

/** What {@link dnsQuestion} makes. */
export type DnsQuestion = RecordOf<typeof dnsQuestion>;

/**
 * Subscribed to by whoever asks: that is the demand. Published while there is an answer: `message` is one that came `at`
 * so many milliseconds by the space's clock.
 */
export const dnsAnswered: RecordMaker<
  'dns-answered',
  readonly ['question', 'message', 'at'],
  { question: DnsQuestion; message: Uint8Array; at: number }
> = record('dns-answered', ['question', 'message', 'at']).of();

/** A server that is asked: a numeric address, since what comes back is known by it. */
export interface DnsServer {
  readonly host: string;
  readonly port: number;
}

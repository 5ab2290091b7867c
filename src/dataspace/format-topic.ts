import { Hole } from './hole.ts';
import type { Topic } from './topic-types.ts';
import { admit, RecordValue } from './value.ts';
import type { Value } from './value.ts';

/** How much of a topic is written. */
export interface FormatTopicOptions {
  /**
   * The longest text, in UTF-16 units; what is beyond it is `…`.
   * @default 1000
   */
  readonly limit?: number | undefined;
}

const LONGEST_TEXT = 64;
const LONGEST_BYTES = 32;

/**
 * A topic as text on one line, for people: `tcp-channel(_, tcp-listener(5999), <5 bytes 68656c6c6f>)`.
 *
 * Captures are `$name`. Strings over 64 units and bytes over 32 are cut, and so is the whole at the limit. Nothing in it can
 * move a terminal's cursor. For a text that tells topics apart, see `topicKey`.
 */
export function formatTopic(topic: Topic, { limit = 1_000 }: FormatTopicOptions = {}): string {
  const out: Line = { text: '', left: limit };
  write(admit(topic, 'the topic'), out);
  return out.left < 0 ? `${out.text.slice(0, Math.max(limit - 1, 0))}…` : out.text;
}

interface Line {
  text: string;
  left: number;
}

function put(text: string, out: Line): void {
  out.text += text;
  out.left -= text.length;
}

function write(value: Value, out: Line): void {
  if (out.left < 0) return;
  if (typeof value === 'string') put(quote(value), out);
  else if (typeof value !== 'object' || value === null) put(String(value), out);
  else if (RecordValue.is(value)) {
    const { shape, items } = RecordValue.core(value);
    put(/^[\p{L}\p{N}_.:/-]+$/u.test(shape.label) ? shape.label : quote(shape.label), out);
    writeItems('(', items, ')', out);
  } else if (Hole.is(value)) {
    const name = Hole.nameOf(value);
    put(name === null ? '_' : `$${/^[\p{L}\p{N}_]+$/u.test(name) ? name : quote(name)}`, out);
  } else if (Array.isArray(value)) writeItems('[', value as readonly Value[], ']', out);
  else put(bytes(value as Uint8Array), out);
}

function writeItems(open: string, items: readonly Value[], close: string, out: Line): void {
  put(open, out);
  for (let i = 0; i < items.length && out.left >= 0; i++) {
    if (i > 0) put(', ', out);
    write(items[i] as Value, out);
  }
  put(close, out);
}

function bytes(value: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = value;
  if (byteLength === 0) return '<0 bytes>';
  const hex = Buffer.from(buffer, byteOffset, Math.min(byteLength, LONGEST_BYTES)).toString('hex');
  return `<${byteLength} byte${byteLength === 1 ? '' : 's'} ${hex}${byteLength > LONGEST_BYTES ? '…' : ''}>`;
}

// What JSON leaves as it is may still move a cursor or turn the direction of a line.
function quote(text: string): string {
  const cut = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT - 1)}…` : text;
  return JSON.stringify(cut).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

import { formatTopic } from './format-topic.ts';
import type { EndReason } from './reasons.ts';
import type { Datum } from './topic-types.ts';

/** Why somebody is gone, as text on one line, for people: `quit by actor 3: "bye"`. */
export function formatReason(reason: EndReason): string {
  return format(reason, DEPTH);
}

const DEPTH = 4;

function format(reason: EndReason, depth: number): string {
  switch (reason.kind) {
    case 'failed': {
      const { name, code, message } = reason.error;
      return `failed: ${word(code ?? name)}: ${formatTopic(message)}`;
    }
    case 'linked':
      return `linked with actor ${reason.actor}: ${depth === 0 ? '…' : format(reason.reason, depth - 1)}`;
    case 'quit':
      return `quit by actor ${reason.by}${detailOf(reason.detail)}`;
    case 'withdrawn':
    case 'stopped':
      return `${reason.kind}${detailOf(reason.detail)}`;
    default:
      return reason.kind;
  }
}

// Errors are made by anybody, of whatever.
function word(text: string): string {
  return /^[\w.:-]{1,64}$/u.test(text) ? text : formatTopic(text);
}

function detailOf(detail: Datum | undefined): string {
  return detail === undefined ? '' : `: ${formatTopic(detail)}`;
}

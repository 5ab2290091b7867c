const NUMBER = /^(?:0|[1-9]\d{0,4})$/u;
const GROUP = /^[\da-f]{1,4}$/iu;
const GROUPS = 8;

/** A decimal number without leading zeros, from 0 to `max` (below 100,000); -1 when it is none. */
export function strictNumber(text: string, max: number): number {
  if (!NUMBER.test(text)) return -1;
  const value = Number(text);
  return value <= max ? value : -1;
}

/** The four bytes of an IPv4 address: four numbers without leading zeros. Null when the text is none. */
export function parseIPv4(text: string): Uint8Array | null {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const value = strictNumber(parts[i] as string, 255);
    if (value < 0) return null;
    bytes[i] = value;
  }
  return bytes;
}

/** The sixteen bytes of an IPv6 address (RFC 4291, section 2.2), which may end in an IPv4 one. Null when the text is none; a zone makes it none. */
export function parseIPv6(text: string): Uint8Array | null {
  // The longest is of 8 × 4 digits with an IPv4 address for the last two groups.
  if (text.length > 45) return null;
  const halves = text.split('::', 3);
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0] as string, halves.length === 1);
  const tail = halves.length === 1 ? [] : groupsOf(halves[1] as string, true);
  if (head === null || tail === null) return null;
  const given = head.length + tail.length;
  if (halves.length === 1 ? given !== GROUPS : given >= GROUPS) return null;
  const bytes = new Uint8Array(GROUPS * 2);
  for (const [i, group] of head.entries()) put(bytes, i, group);
  for (const [i, group] of tail.entries()) put(bytes, GROUPS - tail.length + i, group);
  return bytes;
}

/** The groups of one side of `::`; with `last`, the last of them may be an IPv4 address. */
function groupsOf(text: string, last: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':', GROUPS + 1);
  for (const [i, part] of parts.entries()) {
    if (GROUP.test(part)) groups.push(Number.parseInt(part, 16));
    else {
      const v4 = last && i === parts.length - 1 ? parseIPv4(part) : null;
      if (v4 === null) return null;
      groups.push(((v4[0] as number) << 8) | (v4[1] as number), ((v4[2] as number) << 8) | (v4[3] as number));
    }
  }
  return groups;
}

function put(bytes: Uint8Array, index: number, group: number): void {
  bytes[index * 2] = group >> 8;
  bytes[index * 2 + 1] = group & 255;
}

/** Four bytes as `a.b.c.d`. */
export function formatIPv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at] as number}.${bytes[at + 1] as number}.${bytes[at + 2] as number}.${bytes[at + 3] as number}`;
}

/**
 * Sixteen bytes as the system writes them (inet_ntop): small letters, the first longest run of two or more zero groups as `::`,
 * and with `dotted` an IPv4 address for the end of what stands for one.
 */
export function formatIPv6(bytes: Uint8Array, at: number, dotted: boolean): string {
  const groups: number[] = [];
  for (let i = 0; i < GROUPS; i++)
    groups.push(((bytes[at + i * 2] as number) << 8) | (bytes[at + i * 2 + 1] as number));
  const { start, length } = longestRun(groups);
  const embeds = dotted && start === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff));
  const shown = groups.slice(0, embeds ? 6 : GROUPS).map((group) => group.toString(16));
  if (embeds) shown.push(formatIPv4(bytes, at + 12));
  if (length < 2) return shown.join(':');
  return `${shown.slice(0, start).join(':')}::${shown.slice(start + length).join(':')}`;
}

function longestRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 0 };
  for (let i = 0; i < GROUPS; i++) {
    let end = i;
    while (end < GROUPS && groups[end] === 0) end += 1;
    if (end - i > best.length) best = { start: i, length: end - i };
    if (end > i) i = end;
  }
  return best;
}

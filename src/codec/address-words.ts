/**
 * Numeric addresses between text and four words of 32 bits, most significant first. An IPv4 address is the last word alone.
 *
 * Reading is strict: RFC 4291 section 2.2 for IPv6 (`::` stands for one group of zeros or more), four decimal numbers without leading
 * zeros for IPv4. It allocates nothing.
 */

/** How many groups of 16 bits an IPv6 address has. */
const GROUPS = 8;
const DOT = 46;
const COLON = 58;
const PERCENT = 37;

// Written and read within one call, so that reading an address makes no array.
const groups = new Uint16Array(GROUPS);

/** Room for one address. */
export function addressWords(): Uint32Array {
  return new Uint32Array(4);
}

/**
 * Reads a numeric address into `into` and tells its family, or 0 when the text is none. IPv4-mapped IPv6
 * (`::ffff:192.0.2.1`) is the IPv4 that it carries. A zone (`%eth0`) is passed over; IPv6 alone has one, and not an empty one.
 */
export function readAddress(text: string, into: Uint32Array): 0 | 4 | 6 {
  // The first colon or dot tells the family. It is the third character or so, and the fifth at the latest.
  for (let i = 0; i < 5; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) return readIPv4(text, into) ? 4 : 0;
    if (code !== COLON) continue;
    if (!readIPv6(text, into)) return 0;
    if (into[0] !== 0 || into[1] !== 0 || into[2] !== 0xffff) return 6;
    into[2] = 0;
    return 4;
  }
  return 0;
}

/** Reads the IPv4 address from `from` up to `to` into the last word; the others become 0. False when it is none. */
export function readIPv4(text: string, into: Uint32Array, from: number = 0, to: number = text.length): boolean {
  let value = 0;
  let part = -1;
  let dots = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      // A leading zero means octal to some and decimal to others.
      if (part === 0) return false;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return false;
    } else if (digit === DOT - 48 && part >= 0 && dots < 3) {
      value = (value << 8) | part;
      part = -1;
      dots++;
    } else return false;
  }
  if (dots !== 3 || part < 0) return false;
  into[0] = 0;
  into[1] = 0;
  into[2] = 0;
  into[3] = (value << 8) | part;
  return true;
}

/** The value of a hexadecimal digit, or -1. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = (code | 32) - 97;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/** Reads an IPv6 address, a mapped one as it is. A zone is passed over. False when it is none. */
export function readIPv6(text: string, into: Uint32Array): boolean {
  let end = text.length;
  let count = 0;
  /** Where the groups were that `::` stands for. */
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false;
    gap = 0;
    i = 2;
  }
  while (i < end) {
    const start = i;
    let group = 0;
    let code = 0;
    for (; i < end; i++) {
      code = text.charCodeAt(i);
      const digit = hexDigit(code);
      if (digit < 0) break;
      group = (group << 4) | digit;
      if (i - start === 4) return false;
    }
    if (i < end && code === PERCENT) {
      if (i + 1 === end) return false;
      end = i;
    }
    if (i < end && code === DOT) {
      const zone = text.indexOf('%', i);
      if (zone >= 0 && zone + 1 === end) return false;
      if (count > GROUPS - 2 || !readIPv4(text, into, start, zone < 0 ? end : zone)) return false;
      groups[count++] = into[3]! >>> 16;
      groups[count++] = into[3]!;
      end = i;
      break;
    }
    // Nothing between two colons, or after the last; right after the gap the text may end, or the zone begin.
    if (i === start) {
      if (i === end && gap === count) break;
      return false;
    }
    if (count === GROUPS) return false;
    groups[count++] = group;
    if (i === end) break;
    if (code !== COLON) return false;
    i++;
    if (i < end && text.charCodeAt(i) === COLON) {
      if (gap >= 0) return false;
      gap = count;
      i++;
    } else if (i === end) return false;
  }
  if (gap < 0 ? count !== GROUPS : count === GROUPS) return false;
  if (gap >= 0) {
    const moved = count - gap;
    groups.copyWithin(GROUPS - moved, gap, count);
    groups.fill(0, gap, GROUPS - moved);
  }
  for (let word = 0; word < 4; word++) into[word] = (groups[word * 2]! << 16) | groups[word * 2 + 1]!;
  return true;
}

/** Whether any bit below the first `prefix` bits of the 128 is set; an IPv4 address begins at bit 96. */
export function hasBitsBelow(words: Uint32Array, prefix: number): boolean {
  for (let word = 0; word < 4; word++) if ((words[word]! & ~maskOf(prefix - word * 32)) !== 0) return true;
  return false;
}

/** Clears the bits below the first `prefix` of the 128; an IPv4 address begins at bit 96. */
export function clearBitsBelow(words: Uint32Array, prefix: number): void {
  for (let word = 0; word < 4; word++) words[word]! &= maskOf(prefix - word * 32);
}

/** Sets the bits below the first `prefix` of the 128; an IPv4 address begins at bit 96. */
export function setBitsBelow(words: Uint32Array, prefix: number): void {
  for (let word = 0; word < 4; word++) words[word]! |= ~maskOf(prefix - word * 32);
}

// A shift by 32 shifts by none.
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

/** The last word as IPv4 text. */
export function formatIPv4(words: Uint32Array): string {
  const value = words[3]!;
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** The words as IPv6 text, as RFC 5952 wants it: small letters, and `::` for the longest run of zeros, the first of equals. */
export function formatIPv6(words: Uint32Array): string {
  let from = GROUPS;
  let longest = 1;
  let run = 0;
  for (let i = 0; i < GROUPS; i++) {
    run = groupOf(words, i) === 0 ? run + 1 : 0;
    if (run > longest) {
      from = i - run + 1;
      longest = run;
    }
  }
  let text = '';
  for (let i = 0; i < GROUPS; i++) {
    if (i === from) {
      text += '::';
      i += longest - 1;
    } else {
      if (i > 0 && i !== from + longest) text += ':';
      text += groupOf(words, i).toString(16);
    }
  }
  return text;
}

/** The words as the system writes IPv6 (inet_ntop(3)): as {@link formatIPv6}, with an IPv4 address for the end of what stands for one. */
export function formatIPv6Mixed(words: Uint32Array): string {
  if (words[0] === 0 && words[1] === 0) {
    if (words[2] === 0xffff) return `::ffff:${formatIPv4(words)}`;
    if (words[2] === 0 && words[3]! > 0xffff) return `::${formatIPv4(words)}`;
  }
  return formatIPv6(words);
}

function groupOf(words: Uint32Array, group: number): number {
  return (words[group >> 1]! >>> (16 - 16 * (group & 1))) & 0xffff;
}

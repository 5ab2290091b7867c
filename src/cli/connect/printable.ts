const WORDS: Readonly<Record<string, string>> = { '\t': '\t', '\r': String.raw`\r`, '\n': String.raw`\n` };

/** A stranger's text as a terminal may show it: what would steer the terminal, or turn its text around, is shown as what it is (`\x1b`). */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return WORDS[character] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u{${hex(code, 4)}}`);
  });
}

function hex(code: number, width: number): string {
  return code.toString(16).padStart(width, '0');
}

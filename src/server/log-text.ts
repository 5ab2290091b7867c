/** Characters that would end a line or steer a terminal, and those that turn text around. */
const UNSEEN = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/gu;

/** How much of a text is looked at. */
const MOST_READ = 65_536;

/** What is a secret wherever it stands: who asks in a URL, tokens of HTTP, private keys, and what is said to be one. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\/\/[^\s/?#@"'\\]+@/gu, '//***@'],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/giu, '$1 ***'],
  [/\b(pass(?:word|wd|phrase)|secret)(\s*[=:]\s*)[^\s"'\\,;&]+/giu, '$1$2***'],
  [/\b((?:\w+[_-])?(?:token|api[_-]?key))=[^\s"'\\,;&]+/giu, '$1=***'],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/gu, '[private key]'],
];

/** One of {@link SECRETS} may only be in a text that has one of these. */
const HINTS = /\/\/[^/]*@|bearer|basic|pass|secret|token|key/iu;

/** A text without what looks like a secret: passwords in URLs, tokens, private keys. */
export function withoutSecrets(text: string): string {
  if (!HINTS.test(text)) return text;
  let left = text;
  for (const [secret, instead] of SECRETS) left = left.replace(secret, instead);
  return left;
}

/** A text in which each character that would end a line, steer a terminal or turn text around is shown as its code: `\u001b`. */
export function visible(text: string): string {
  return text.replace(UNSEEN, escaped);
}

/** What a stranger may have had a hand in, as a log has it: on one line, visible, without secrets, and cut to `most` characters. */
export function logText(text: string, most = 500): string {
  const clean = visible(withoutSecrets(text.length > MOST_READ ? text.slice(0, MOST_READ) : text));
  return clean.length <= most ? clean : `${clean.slice(0, most - 1)}…`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

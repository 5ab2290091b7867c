import { readFileSync } from 'node:fs';
import { PortsideError, systemCode } from '../../base/errors.ts';

/** The token that a file has, without the blanks around it. It is never shown. ERR_PORTSIDE_OPTIONS when it can't be read, or has none that will do. */
export function readToken(file: string, flag: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = systemCode(error) ?? 'unknown';
    const why = code === 'ENOENT' ? 'there is no such file' : `it can't be read (${code})`;
    throw new PortsideError('ERR_PORTSIDE_OPTIONS', `${flag} ${file}: ${why}`, { cause: error });
  }
  const token = text.trim();
  if (/^[\x21-\x7e]{16,1024}$/u.test(token)) return token;
  throw new PortsideError(
    'ERR_PORTSIDE_OPTIONS',
    `${flag} ${file}: a token has 16 to 1024 printable characters without blanks; make one with: openssl rand -hex 32`,
  );
}

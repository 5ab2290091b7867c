import { createHash } from 'node:crypto';
import type { Reply } from './admin-reply.ts';

/** A whole page of HTML, or what gives it when it is first asked for. */
export type PageSource = string | (() => string | Promise<string>);

/** The page for people at `/` of an admin endpoint. What it runs and how it looks is in itself; nothing else is run, whatever gets into it. */
export class AdminPage {
  readonly #source: PageSource;
  #reply: Promise<Reply> | null = null;

  constructor(source: PageSource) {
    this.#source = source;
  }

  /** Rejects as its source does, which is asked again the next time. */
  reply(): Promise<Reply> {
    this.#reply ??= this.#make().catch((error: unknown) => {
      this.#reply = null;
      throw error;
    });
    return this.#reply;
  }

  async #make(): Promise<Reply> {
    const body = typeof this.#source === 'string' ? this.#source : await this.#source();
    const headers = { 'content-security-policy': policyOf(body), 'cross-origin-opener-policy': 'same-origin' };
    return { status: 200, type: 'text/html; charset=utf-8', body, headers };
  }
}

/** Lets a page run its own inline scripts and styles, by their hashes, ask its own server, and nothing else. */
function policyOf(page: string): string {
  return [
    "default-src 'none'",
    `script-src ${hashes(page, 'script')}`,
    `style-src ${hashes(page, 'style')}`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

function hashes(page: string, element: 'script' | 'style'): string {
  const found = [...page.matchAll(new RegExp(`<${element}(?:\\s[^>]*)?>([^]*?)</${element}>`, 'giu'))].map(
    ([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`,
  );
  return found.length === 0 ? "'none'" : [...new Set(found)].join(' ');
}

// Takes any mail and sends none: for trying out programs that send mail. Keeps the last ones in memory, prints a line for each.
//   npx portside serve examples/smtp-sink.ts --port 2525
//   swaks --server 127.0.0.1:2525 --from ada@example.org --to bob@example.org
//   curl smtp://127.0.0.1:2525 --mail-from ada@example.org --mail-rcpt bob@example.org --upload-file mail.txt
// On an endpoint that says tcp:// and has certificates it offers STARTTLS:
//   npx portside serve examples/smtp-sink.ts -e tcp://127.0.0.1:2525 --tls-self-signed
//   swaks --server 127.0.0.1:2525 --from ada@example.org --to bob@example.org --tls
//   openssl s_client -connect 127.0.0.1:2525 -starttls smtp -crlf -quiet
import { PortsideError, Semaphore, isPortsideError } from 'portside';
import type { Connection } from 'portside';

/** Mails and bytes that are kept, the last ones. */
const KEEP = 100;
const KEEP_BYTES = 64 * 1_048_576;
/** The largest mail, in bytes. What is longer is read to its end, if that comes soon enough, and refused. */
const MAX_SIZE = 8 * 1_048_576;
const MAX_DISCARDED = 8 * MAX_SIZE;
const MAX_RECIPIENTS = 100;
/** The longest line of a command (RFC 5321 wants 512 and more with extensions) and of a text (it wants 1000), in bytes. */
const MAX_COMMAND = 2_048;
const MAX_TEXT_LINE = 65_536;
/** Commands that make no sense before the client has to go. */
const MAX_FAULTS = 20;
/** Milliseconds for the next command, and for a whole text. */
const PATIENCE = 300_000;
const TEXT_TIME = 600_000;

/** One mail with its envelope. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: Uint8Array;
  /** Whether it came under TLS. */
  readonly secure: boolean;
}

interface Session {
  /** What the client called itself; null before EHLO or HELO. */
  client: string | null;
  /** Who the mail is from; null while there is none. */
  from: string | null;
  to: string[];
  faults: number;
}

const kept: Mail[] = [];
let keptBytes = 0;
/** Texts that are received at a time: they are held in memory. The other clients wait for their go-ahead. */
const receiving = new Semaphore(8);

/** The last mails, oldest first. */
export function mails(): readonly Mail[] {
  return kept;
}

function keep(mail: Mail): void {
  kept.push(mail);
  keptBytes += mail.text.length;
  while (kept.length > KEEP || keptBytes > KEEP_BYTES) keptBytes -= kept.shift()!.text.length;
  console.log(`${mail.from || '<>'} → ${mail.to.join(', ')}: ${mail.text.length} bytes${mail.secure ? ', TLS' : ''}`);
}

/** What is wrong with a command, as an answer. */
class Refusal extends Error {}

/** Whether the session goes on, or how it does. */
type Next = 'on' | 'quit' | 'tls';

export default async function smtp(conn: Connection): Promise<void> {
  try {
    await converse(conn);
  } catch (error) {
    const parting = partingWord(error, conn);
    if (parting === null) throw error;
    await conn.write(`${parting}\r\n`);
  }
}

/** What to say to a client that has to go for what it did, or that the server sends away; null for what is no such thing. */
function partingWord(error: unknown, conn: Connection): string | null {
  if (error === conn.draining.reason) return '421 4.3.2 The server is stopping';
  if (!isPortsideError(error)) return null;
  if (error.code === 'ERR_PORTSIDE_TIMEOUT') return '421 4.4.2 You said nothing for too long';
  if (error.code === 'ERR_PORTSIDE_LIMIT') return '500 5.5.2 That is too long';
  return error.code === 'ERR_PORTSIDE_UNEXPECTED_END' ? '451 4.4.2 The end is missing' : null;
}

async function converse(conn: Connection): Promise<void> {
  const session: Session = { client: null, from: null, to: [], faults: 0 };
  await conn.write('220 localhost ESMTP sink\r\n');
  for (;;) {
    const line = await conn.readLine({ limit: MAX_COMMAND, timeout: PATIENCE, signal: conn.draining });
    if (line === null) return;
    const next = await obey(line, conn, session);
    if (next === 'quit') return;
    if (next === 'tls') {
      // Commands that came with STARTTLS make this fail, and end the connection: they may be somebody else's.
      await conn.upgradeTls();
      // What was said in the clear may have been put in by anybody (RFC 3207, section 4.2).
      reset(session);
      session.client = null;
    }
  }
}

/** Answers one command. */
async function obey(line: string, conn: Connection, session: Session): Promise<Next> {
  const [, name = '', rest = ''] = /^(\S*) ?(.*)$/u.exec(line) ?? [];
  try {
    switch (name.toUpperCase()) {
      case 'EHLO':
        greet(rest, session);
        await conn.write(
          ['250-localhost', '250-PIPELINING', '250-8BITMIME', `250-SIZE ${MAX_SIZE}`]
            .concat(conn.canUpgradeTls ? ['250-STARTTLS'] : [], ['250 ENHANCEDSTATUSCODES', ''])
            .join('\r\n'),
        );
        return 'on';
      case 'HELO':
        greet(rest, session);
        await conn.write('250 localhost\r\n');
        return 'on';
      case 'MAIL':
        begin(rest, session);
        await conn.write('250 2.1.0 OK\r\n');
        return 'on';
      case 'RCPT':
        address(rest, session);
        await conn.write('250 2.1.5 OK\r\n');
        return 'on';
      case 'DATA':
        await receive(conn, session);
        return 'on';
      case 'RSET':
        reset(session);
        await conn.write('250 2.0.0 OK\r\n');
        return 'on';
      case 'NOOP':
        await conn.write('250 2.0.0 OK\r\n');
        return 'on';
      case 'VRFY':
        await conn.write('252 2.5.0 Send it, and see\r\n');
        return 'on';
      case 'STARTTLS':
        if (conn.tls !== null) throw new Refusal('503 5.5.1 TLS is on already');
        if (!conn.canUpgradeTls) throw new Refusal('502 5.5.1 There is no certificate');
        if (rest !== '') throw new Refusal('501 5.5.4 STARTTLS takes no parameters');
        void conn.write('220 2.0.0 Go ahead\r\n');
        return 'tls';
      case 'QUIT':
        await conn.write('221 2.0.0 Bye\r\n');
        return 'quit';
      default:
        throw new Refusal('500 5.5.2 Unknown command');
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    session.faults += 1;
    await conn.write(`${error.message}\r\n`);
    if (session.faults < MAX_FAULTS) return 'on';
    await conn.write('421 4.7.0 Too many errors\r\n');
    return 'quit';
  }
}

function greet(name: string, session: Session): void {
  if (name.trim() === '') throw new Refusal('501 5.5.4 Say who you are');
  reset(session);
  session.client = name.trim();
}

function reset(session: Session): void {
  session.from = null;
  session.to = [];
}

/** MAIL FROM:<address> and parameters. */
function begin(words: string, session: Session): void {
  if (session.client === null) throw new Refusal('503 5.5.1 EHLO first');
  if (session.from !== null) throw new Refusal('503 5.5.1 There is a mail already; RSET drops it');
  const { path, parameters } = envelope('FROM', words);
  for (const parameter of parameters) {
    const size = /^SIZE=(\d{1,20})$/iu.exec(parameter)?.[1];
    if (size !== undefined) {
      if (Number(size) > MAX_SIZE) throw new Refusal('552 5.3.4 The mail is too large');
    } else if (!/^BODY=(?:7BIT|8BITMIME)$/iu.test(parameter)) throw new Refusal('555 5.5.4 Unknown parameter');
  }
  session.from = path;
}

/** RCPT TO:<address>. */
function address(words: string, session: Session): void {
  if (session.from === null) throw new Refusal('503 5.5.1 MAIL first');
  const { path, parameters } = envelope('TO', words);
  if (path === '') throw new Refusal('501 5.1.3 An address is missing');
  if (parameters.length > 0) throw new Refusal('555 5.5.4 Unknown parameter');
  if (session.to.length >= MAX_RECIPIENTS) throw new Refusal('452 4.5.3 Too many recipients');
  session.to.push(path);
}

/** The address between the angle brackets, which has no blanks and nothing that does not print, and what follows it. */
function envelope(word: 'FROM' | 'TO', words: string): { path: string; parameters: readonly string[] } {
  const [, mark, path, rest] = /^(\w+): ?<([^<>\s\p{C}]{0,256})>((?: \S+)*)\s*$/u.exec(words) ?? [];
  if (mark?.toUpperCase() !== word || path === undefined || rest === undefined)
    throw new Refusal(`501 5.5.4 It is ${word}:<address>`);
  return { path, parameters: rest.split(' ').slice(1) };
}

/** DATA: the text, up to a line that is a dot. */
async function receive(conn: Connection, session: Session): Promise<void> {
  const { from, to } = session;
  if (from === null || to.length === 0) throw new Refusal('503 5.5.1 MAIL and RCPT first');
  // Who pauses in the middle of a text is not idle: a server that stops takes the mail first.
  conn.busy = true;
  const permit = await receiving.acquire({ signal: conn.signal });
  try {
    await conn.write('354 End with a dot on a line of its own\r\n');
    const text = await textOf(conn);
    reset(session);
    if (text === null) throw new Refusal('552 5.3.4 The mail is too large');
    keep({ from, to, text, secure: conn.tls !== null });
    await conn.write('250 2.0.0 Kept\r\n');
  } finally {
    permit.release();
    conn.busy = false;
  }
}

/** A text with its dots unstuffed (RFC 5321, section 4.5.2); null when it was too large. */
async function textOf(conn: Connection): Promise<Uint8Array | null> {
  const deadline = performance.now() + TEXT_TIME;
  // One buffer: millions of empty lines must not become millions of objects.
  let text = Buffer.alloc(65_536);
  let size = 0;
  for (;;) {
    const timeout = Math.max(0, deadline - performance.now());
    // Only CRLF ends a line: were LF enough for the last one, a mail could smuggle another in.
    const line = await conn.readUntil('\r\n', { limit: MAX_TEXT_LINE, timeout });
    if (line === null)
      throw new PortsideError('ERR_PORTSIDE_UNEXPECTED_END', 'the client left in the middle of a mail');
    if (line[0] === DOT && line.length === 3) return size > MAX_SIZE ? null : Buffer.from(text.subarray(0, size));
    const bytes = line[0] === DOT ? line.subarray(1) : line;
    if (size + bytes.length > MAX_DISCARDED) throw new PortsideError('ERR_PORTSIDE_LIMIT', 'a mail has no end');
    if (size + bytes.length <= MAX_SIZE) {
      if (size + bytes.length > text.length)
        text = Buffer.concat([text], Math.max(text.length * 2, size + bytes.length));
      text.set(bytes, size);
    }
    size += bytes.length;
  }
}

const DOT = 46;

import type { IncomingMessage } from 'node:http';
import { Refused } from './admin-reply.ts';

/** Bytes of a request's body, at most. */
const MOST = 65_536;

/** The object that a request brings as JSON; none is an empty one. */
export async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  if (!/^application\/json\s*(;|$)/iu.test(request.headers['content-type'] ?? ''))
    throw new Refused(415, 'unsupported-media-type', 'actions are asked for with content-type: application/json');
  const text = await textOf(request);
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refused(400, 'bad-json', 'the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refused(400, 'bad-json', 'the body has to be an object');
  return value as Readonly<Record<string, unknown>>;
}

async function textOf(request: IncomingMessage): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > MOST) throw tooLarge();
  const parts: Buffer[] = [];
  let length = 0;
  // One that breaks off ends the iteration by an error, and nobody is there to be answered.
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MOST) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function tooLarge(): Refused {
  return new Refused(413, 'too-large', `the body may have ${MOST} bytes`);
}

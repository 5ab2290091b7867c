import type { Codec } from '../codec/codec.ts';
import { frameStream } from './frame-stream.ts';
import type { Callbacks, FramedFunction, FramedProtocol, Handler, HandlerFunction, Protocol } from './handler.ts';

/** Gives the handler back, with its types checked and inferred. */
export function defineHandler<Data = unknown, Ctx = unknown>(
  handler: HandlerFunction<Data, Ctx>,
): HandlerFunction<Data, Ctx>;
/** Gives the callbacks back, with their types checked and inferred. */
export function defineHandler<Data = unknown, Ctx = unknown>(handler: Protocol<Data, Ctx>): Protocol<Data, Ctx>;
/** A handler on a codec: `frame` is called once for each frame, and what is no frame ends that connection with the codec's error. */
export function defineHandler<In, Out, Data = unknown, Ctx = unknown>(
  codec: Codec<In, Out>,
  callbacks: Callbacks<Data, Ctx> & Pick<FramedProtocol<In, Data, Ctx>, 'frame'>,
): FramedProtocol<In, Data, Ctx>;
/** A function on a codec, which gets the frames as a stream. */
export function defineHandler<In, Out, Data = unknown, Ctx = unknown>(
  codec: Codec<In, Out>,
  handler: FramedFunction<In, Out, Data, Ctx>,
): HandlerFunction<Data, Ctx>;
export function defineHandler(first: unknown, second?: unknown): unknown {
  if (second === undefined) return first;
  const codec = first as Codec<unknown, unknown>;
  if (typeof second === 'function') {
    const serve = second as FramedFunction<unknown, unknown>;
    const handler: HandlerFunction = (connection, context) =>
      serve(frameStream(connection, codec), connection, context);
    return handler;
  }
  const framed: Record<string, unknown> = { codec };
  for (const name of CALLBACKS) {
    const callback = (second as Readonly<Record<string, unknown>> | null)?.[name];
    // They stay methods of the object that they were given on.
    if (callback !== undefined) framed[name] = typeof callback === 'function' ? callback.bind(second) : callback;
  }
  return framed;
}

const CALLBACKS = ['open', 'data', 'frame', 'end', 'drain', 'draining', 'close'] as const;

/** Whether a value can serve connections: a function, or an object with at least one of the callbacks, each a function. */
export function isHandler(value: unknown): value is Handler {
  if (typeof value === 'function') return true;
  if (typeof value !== 'object' || value === null) return false;
  const given = CALLBACKS.map((name) => (value as Record<string, unknown>)[name]).filter(
    (callback) => callback !== undefined,
  );
  if (given.length === 0 || !given.every((callback) => typeof callback === 'function')) return false;
  const { frame, data, codec, borrow } = value as Record<string, unknown>;
  if (borrow !== undefined && typeof borrow !== 'boolean') return false;
  if (frame === undefined && codec === undefined) return true;
  return (
    data === undefined &&
    frame !== undefined &&
    typeof (codec as Partial<Codec<unknown>> | null)?.decoder === 'function'
  );
}

/** Whether a handler is one on a codec, called for each frame. */
export function isFramed(handler: Protocol | FramedProtocol<never>): handler is FramedProtocol<never> {
  return 'codec' in handler;
}

import { expectTypeOf } from 'expect-type';
import { describe, test } from 'node:test';
import type { Codec } from '../../src/codec/codec.ts';
import { jsonLines } from '../../src/codec/json-lines.ts';
import { lengthPrefix } from '../../src/codec/length-prefix.ts';
import { lines } from '../../src/codec/lines.ts';
import type { CloseReason } from '../../src/net/close-reason.ts';
import type { Connection } from '../../src/net/connection.ts';
import type { Listener } from '../../src/net/listener.ts';
import type { current, print } from '../../src/server/ambient.ts';
import type { Context } from '../../src/server/context.ts';
import { defineHandler } from '../../src/server/define-handler.ts';
import { detach } from '../../src/server/detach.ts';
import type { FrameStream } from '../../src/server/frame-stream.ts';
import type { FramedProtocol, Handler, HandlerFunction, Protocol } from '../../src/server/handler.ts';
import { createServer, serve } from '../../src/server/server.ts';
import type { Server } from '../../src/server/server.ts';
import { serveThunk } from '../../src/server/thunk.ts';
import type { ThunkServer } from '../../src/server/thunk.ts';

interface Session {
  name: string;
}

interface App {
  rooms: Map<string, number>;
}

// Nothing here runs but the checks of types, which the compiler makes; values only lend their types.
const app: App = { rooms: new Map() };
const listener = {} as Listener;
const conn = {} as Connection<Session>;

describe('the types of handlers', () => {
  test('a function has its parameters inferred, and its data and context by name', () => {
    const plain = defineHandler(async (connection, context) => {
      expectTypeOf(connection).toEqualTypeOf<Connection>();
      expectTypeOf(connection.data).toBeUnknown();
      expectTypeOf(context).toEqualTypeOf<Context>();
      expectTypeOf(context.context).toBeUnknown();
      expectTypeOf(context.id).toBeNumber();
    });
    expectTypeOf(plain).toEqualTypeOf<HandlerFunction>();
    const typed = defineHandler<Session, App>(async (connection, { context, server }) => {
      expectTypeOf(connection.data).toEqualTypeOf<Session>();
      expectTypeOf(context).toEqualTypeOf<App>();
      expectTypeOf(server).toEqualTypeOf<Server<App>>();
      expectTypeOf(server.context).toEqualTypeOf<App>();
    });
    expectTypeOf(typed).toEqualTypeOf<HandlerFunction<Session, App>>();
  });

  test('callbacks have theirs', () => {
    const typed = defineHandler<Session, App>({
      open(connection, { context }) {
        expectTypeOf(connection.data).toEqualTypeOf<Session>();
        expectTypeOf(context.rooms).toEqualTypeOf<Map<string, number>>();
      },
      data(connection, bytes) {
        expectTypeOf(connection).toEqualTypeOf<Connection<Session>>();
        expectTypeOf(bytes).toEqualTypeOf<Uint8Array>();
      },
      close(_connection, reason) {
        expectTypeOf(reason).toEqualTypeOf<CloseReason>();
      },
    });
    expectTypeOf(typed).toEqualTypeOf<Protocol<Session, App>>();
    // @ts-expect-error -- there is no such callback
    defineHandler({ dat() {} });
  });

  test('on a codec the frame is what the codec gives, and the data what one callback says it is', () => {
    const text = defineHandler(lines(), {
      frame(connection, line) {
        expectTypeOf(connection).toEqualTypeOf<Connection>();
        expectTypeOf(line).toBeString();
      },
    });
    expectTypeOf(text).toEqualTypeOf<FramedProtocol<string>>();
    defineHandler(lengthPrefix({ bytes: 4 }), {
      frame: (_connection, frame) => expectTypeOf(frame).toEqualTypeOf<Uint8Array>(),
    });
    defineHandler(jsonLines(), { frame: (_connection, value) => expectTypeOf(value).toBeUnknown() });
    const typed = defineHandler(lines(), {
      open(connection: Connection<Session>, context: Context<App>) {
        connection.data = { name: String(context.context.rooms.size) };
      },
      frame(connection, line) {
        expectTypeOf(connection.data).toEqualTypeOf<Session>();
        expectTypeOf(line).toBeString();
      },
    });
    expectTypeOf(typed).toEqualTypeOf<FramedProtocol<string, Session, App>>();
    // @ts-expect-error -- without frame it is no handler
    defineHandler(lines(), { open() {} });
  });

  test('a function on a codec gets a stream that takes what the codec sends', () => {
    const handler = defineHandler(lines(), async (frames, connection, context) => {
      expectTypeOf(connection).toEqualTypeOf<Connection>();
      expectTypeOf(context).toEqualTypeOf<Context>();
      for await (const line of frames) expectTypeOf(line).toBeString();
      expectTypeOf<(typeof frames)['send']>().parameter(0).toBeString();
    });
    expectTypeOf(handler).toEqualTypeOf<HandlerFunction>();
    const apart = (codec: Codec<Session, number>): HandlerFunction =>
      defineHandler(codec, async (frames) => {
        expectTypeOf(frames).toEqualTypeOf<FrameStream<Session, number>>();
      });
    expectTypeOf(apart).returns.toEqualTypeOf<HandlerFunction>();
  });

  test('a server’s context is that of its options, and has to be the one that its handler asks for', () => {
    const listening = { port: 0, context: app };
    const made = () => createServer((_connection, { context }) => void context.rooms.size, listening);
    expectTypeOf(made).returns.toEqualTypeOf<Server<App>>();
    const started = () =>
      serve(
        {
          open(_connection, { context, server }) {
            expectTypeOf(context).toEqualTypeOf<App>();
            expectTypeOf(server).toEqualTypeOf<Server<App>>();
          },
        },
        {
          ...listening,
          onStart: (server) => void expectTypeOf(server).toEqualTypeOf<Server<App>>(),
          onError(error, connection, server) {
            expectTypeOf(error).toBeUnknown();
            expectTypeOf(connection).toEqualTypeOf<Connection | undefined>();
            expectTypeOf(server.context).toEqualTypeOf<App>();
          },
        },
      );
    expectTypeOf(started).returns.resolves.toEqualTypeOf<Server<App>>();
    const needy: Handler<Session, App> = defineHandler<Session, App>(() => {});
    const fits = () => createServer(needy, listening);
    expectTypeOf(fits).returns.toEqualTypeOf<Server<App>>();
    // @ts-expect-error -- the context is not what the handler asks for
    const misfit = () => createServer(needy, { port: 0, context: { rooms: 'none' } });
    void misfit;
  });

  test('what is given away keeps its type; a thunk takes nothing', () => {
    const given = (server: Server) => server.detach(conn);
    expectTypeOf(given).returns.toEqualTypeOf<Connection<Session>>();
    const alone = () => detach(conn);
    expectTypeOf(alone).returns.toEqualTypeOf<Connection<Session>>();
    expectTypeOf<typeof current>().returns.toEqualTypeOf<Connection | undefined>();
    expectTypeOf<typeof print>().returns.toEqualTypeOf<Promise<void>>();
    const thunks = () => serveThunk(listener, async () => {});
    expectTypeOf(thunks).returns.toEqualTypeOf<ThunkServer>();
    // @ts-expect-error -- there is nothing to give it
    const asking = () => serveThunk(listener, (connection: Connection) => connection.close());
    void asking;
  });
});

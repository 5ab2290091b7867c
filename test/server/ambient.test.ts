import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn, setTimeout as after } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Connection } from '../../src/net/connection.ts';
import { current, currentInput, currentOutput, enter, leave, print, runAs } from '../../src/server/ambient.ts';
import type { AmbientInput, AmbientOutput } from '../../src/server/ambient.ts';
import { inCheckout, start, startNode } from '../support/program.ts';
import type { Program } from '../support/program.ts';
import { endAll, nets, onEachNet, pairOn, readAll } from '../support/nets.ts';

const [node] = nets();

/** Two ends of a connection that end with the test. */
async function pair(t: TestContext): Promise<{ server: Connection; client: Connection }> {
  const both = await pairOn(node!);
  t.after(() => endAll(both.server, both.client));
  return both;
}

/** A program of some lines, with the names of this file's subject in scope. */
function program(lines: string): readonly string[] {
  const ambient = pathToFileURL(inCheckout('src/server/ambient.ts')).href;
  const names = 'current, currentInput, currentOutput, enter, leave, print, runAs';
  return ['--input-type=module', '-e', `import { ${names} } from '${ambient}';\n${lines}`];
}

function run(t: TestContext, lines: string): Program {
  return startNode(t, program(lines));
}

/** The same as words of a shell, to be redirected. */
function shell(t: TestContext, lines: string, around: (command: string) => string): Program {
  const words = [process.execPath, '--disable-warning=ExperimentalWarning', ...program(lines)];
  return start(t, 'bash', ['-c', around(words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' '))]);
}

const fine = { code: 0, signal: null };

/** Served by no connection that it knows of: asks for a name, and greets. */
async function greet(): Promise<void> {
  const name = await currentInput().readLine();
  await print('Hello,', name);
}

onEachNet('code that takes no connection', (net) => {
  test('serves whoever it is run for, many at a time', async () => {
    const pairs = await Promise.all(Array.from({ length: 20 }, () => pairOn(net)));
    const serving = pairs.map(({ server }) => runAs(server, () => greet()).then(() => server.close()));
    // The other way round, so that who was run last is answered first.
    for (const [i, { client }] of [...pairs.entries()].toReversed()) void client.write(`client ${i}\n`);
    for (const [i, { client }] of pairs.entries())
      assert.equal((await readAll(client)).toString(), `Hello, client ${i}\n`);
    await Promise.all([...serving, ...pairs.map(({ client }) => client.close())]);
  });

  test('reads by line, by piece and by iteration from the connection, which is given as it is', async () => {
    const { server, client } = await pairOn(net);
    await runAs(server, async () => {
      const input: AmbientInput = currentInput();
      const output: AmbientOutput = currentOutput();
      assert.equal(input, server);
      assert.equal(output, server);
      assert.equal(current(), server);
      void client.write('line\r\nrest');
      void client.closeWrite();
      assert.equal(await input.readLine(), 'line');
      assert.equal(Buffer.from((await input.read({ max: 1 })) ?? []).toString(), 'r');
      let rest = '';
      for await (const chunk of input) rest += Buffer.from(chunk).toString();
      assert.equal(rest, 'est');
      assert.equal(await input.read(), null);
      await output.write('answer');
      await output.flushed();
    });
    void server.close();
    assert.equal((await readAll(client)).toString(), 'answer');
    await endAll(server, client);
  });
});

describe('the current connection', () => {
  test('is none outside of one', () => {
    assert.equal(current(), undefined);
  });

  test('is kept over awaits, timers, ticks, promises and events of what a handler began, and by nothing else', async (t) => {
    const { server } = await pair(t);
    const seen: Record<string, Connection | undefined> = {};
    const done = runAs(server, async () => {
      seen['at once'] = current();
      await Promise.resolve();
      seen['after a microtask'] = current();
      await after(1);
      seen['after a timer'] = current();
      await turn();
      seen['after a turn'] = current();
      await new Promise<void>((resolve) => {
        process.nextTick(() => {
          seen['in a tick'] = current();
          resolve();
        });
      });
      await Promise.all([1, 2].map(async (n) => after(n).then(() => (seen[`beside ${n}`] = current()))));
      await new Promise<void>((resolve) => {
        const interval = setInterval(() => {
          seen['in an interval'] = current();
          clearInterval(interval);
          resolve();
        }, 1);
      });
      return 'its result';
    });
    assert.equal(current(), undefined);
    await turn();
    assert.equal(current(), undefined);
    assert.equal(await done, 'its result');
    assert.equal(current(), undefined);
    assert.equal(Object.keys(seen).length, 8);
    for (const [when, connection] of Object.entries(seen)) assert.equal(connection, server, when);
  });

  test('is the inner one within another, and the outer one again afterwards, whatever is thrown', async (t) => {
    const [outer, inner] = [(await pair(t)).server, (await pair(t)).server];
    await runAs(outer, async () => {
      await runAs(inner, async () => {
        await after(1);
        assert.equal(current(), inner);
      });
      assert.equal(current(), outer);
      assert.throws(
        () =>
          runAs(inner, () => {
            throw new RangeError('inside');
          }),
        RangeError,
      );
      assert.equal(current(), outer);
      await assert.rejects(
        runAs(inner, async () => {
          await Promise.resolve();
          throw new RangeError('inside');
        }),
        RangeError,
      );
      assert.equal(current(), outer);
    });
    assert.equal(current(), undefined);
  });

  test('is a callback’s while it runs; callbacks nest, and leave what was before when they throw', async (t) => {
    const [a, b] = [(await pair(t)).server, (await pair(t)).server];
    const call = (connection: Connection, callback: () => void): void => {
      const before = enter(connection);
      try {
        callback();
      } finally {
        leave(before);
      }
    };
    call(a, () => {
      assert.equal(current(), a);
      call(b, () => assert.equal(current(), b));
      assert.equal(current(), a);
      assert.throws(() =>
        call(b, () => {
          throw new RangeError('inside');
        }),
      );
      assert.equal(current(), a);
    });
    assert.equal(current(), undefined);
    assert.throws(() =>
      call(a, () => {
        throw new RangeError('inside');
      }),
    );
    assert.equal(current(), undefined);
  });

  test('is not a callback’s any more in what the callback goes on with', async (t) => {
    const [a, b] = [(await pair(t)).server, (await pair(t)).server];
    const late: (Connection | undefined)[] = [];
    const callback = async (): Promise<void> => {
      late.push(current());
      await Promise.resolve();
      late.push(current());
    };
    const before = enter(a);
    const done = callback();
    leave(before);
    // Another's callback comes between: the first one's continuation must not take it for its own.
    leave(enter(b));
    await done;
    assert.deepEqual([late[0] === a, late[1]], [true, undefined]);
  });

  test('of a callback goes before the one of a function, and the other way round where that one is run within it', async (t) => {
    const [a, b] = [(await pair(t)).server, (await pair(t)).server];
    await runAs(a, async () => {
      const before = enter(b);
      assert.equal(current(), b);
      leave(before);
      assert.equal(current(), a);
    });
    const before = enter(a);
    const running = runAs(b, async () => {
      assert.equal(current(), b);
      await Promise.resolve();
      assert.equal(current(), b);
    });
    assert.equal(current(), a);
    leave(before);
    assert.equal(current(), undefined);
    await running;
  });

  test('costs a program that has none no async context: the storage is made at the first use', async (t) => {
    const watched = `
      import { AsyncLocalStorage } from 'node:async_hooks';
      let runs = 0;
      const { run } = AsyncLocalStorage.prototype;
      AsyncLocalStorage.prototype.run = function (...given) { runs += 1; return run.apply(this, given); };
      const conn = { write: () => Promise.resolve() };
      leave(enter(conn)); current();
      await print(runs);
      runAs(conn, () => {});
      await print(runs);`;
    const child = run(t, watched);
    assert.deepEqual(await child.exit, fine);
    assert.equal(child.out, '0\n1\n');
  });
});

describe('print', () => {
  test('joins its values by a space and ends the line; text and bytes stay as they are', async (t) => {
    const { server, client } = await pair(t);
    await runAs(server, async () => {
      await print();
      await print('one');
      await print('a', 1, null, undefined, true, 10n, ['x', 'y'], Symbol('s'), new Error('e'));
      await print(Uint8Array.of(0xff, 0x00));
      await print('ä', Buffer.from([0xc3, 0xa4]), 'z\n');
      assert.throws(() => print(Object.create(null)), TypeError);
    });
    void server.close();
    const text = '\none\na 1 null undefined true 10 x,y Symbol(s) Error: e\n';
    const expected = Buffer.concat([Buffer.from(text), Uint8Array.of(0xff, 0, 10), Buffer.from('ä ä z\n\n')]);
    assert.deepEqual(await readAll(client), expected);
  });

  test('is a write of the connection: refused once that is over, and may be left alone', async (t) => {
    const { server } = await pair(t);
    await runAs(server, async () => {
      server.abort();
      await server.closed;
      void print('left alone');
      await assert.rejects(print('too late'), { code: 'ERR_PORTSIDE_CLOSED' });
    });
  });
});

describe('outside of a connection', () => {
  test('the same code serves standard input and output', async (t) => {
    const child = run(
      t,
      `const name = await currentInput().readLine();
       await print('Hello,', name);
       for await (const chunk of currentInput()) await currentOutput().write(chunk);
       await print(await currentInput().read());
       if (current() !== undefined) throw new Error('a connection?');`,
    );
    child.write('Wör');
    child.write('ld\r\n');
    await child.until(/^Hello, Wörld\n/u);
    child.end('the rest');
    assert.deepEqual(await child.exit, fine);
    assert.equal(child.out, 'Hello, Wörld\nthe restnull\n');
    assert.equal(child.err, '');
  });

  test('a last line may lack its ending, and then there is none', async (t) => {
    const child = run(
      t,
      `for (let i = 0; i < 4; i += 1) await print(JSON.stringify(await currentInput().readLine()));`,
    );
    child.end('a\n\nb');
    assert.deepEqual(await child.exit, fine);
    assert.equal(child.out, '"a"\n""\n"b"\nnull\n');
  });

  test('a line has a limit, 64 KiB unless told, and what is too long stays to be read', async (t) => {
    const child = run(
      t,
      `const input = currentInput();
       const code = (error) => error.code;
       await print(await input.readLine({ limit: 3 }).catch(code));
       await print(await input.readLine({ limit: 5 }));
       await print((await input.readLine()).length);
       await print(await input.readLine().catch(code));
       let left = 0;
       for await (const chunk of input) left += chunk.length;
       await print(left);`,
    );
    child.write('abcd\n');
    child.write(`${'x'.repeat(65_535)}\n`);
    child.end(`${'y'.repeat(65_536)}\n`);
    assert.deepEqual(await child.exit, fine);
    assert.equal(child.out, 'ERR_PORTSIDE_LIMIT\nabcd\n65535\nERR_PORTSIDE_LIMIT\n65537\n');
  });

  test('one read at a time; it can be called off by a signal or a time, and loses nothing', async (t) => {
    const child = run(
      t,
      `const input = currentInput();
       const code = (error) => error.code ?? error.message;
       await print(await input.readLine({ timeout: 5 }).catch(code));
       const off = new AbortController();
       const line = input.readLine({ signal: off.signal });
       await print(await input.read().catch(code));
       off.abort(new Error('called off'));
       await print(await line.catch(code));
       await print(await input.read({ signal: AbortSignal.abort(new Error('before')) }).catch(code));
       await print(await input.read({ max: 0 }).catch(code));
       await print('now');
       await print(await input.read({ max: 2 }), await input.readLine({ timeout: 60_000 }));`,
    );
    await child.until(/now\n/u);
    child.write('abc\n');
    assert.deepEqual(await child.exit, fine);
    const codes = ['ERR_PORTSIDE_TIMEOUT', 'ERR_PORTSIDE_READ_BUSY', 'called off', 'before', 'ERR_PORTSIDE_OPTIONS'];
    assert.equal(child.out, `${codes.join('\n')}\nnow\nab c\n`);
  });

  test('an open input keeps the process alive only while somebody reads', async (t) => {
    const child = run(t, `await print(await currentInput().readLine());`);
    child.write('one\ntwo\n');
    assert.deepEqual(await child.exit, fine);
    const idle = run(t, `currentInput(); await print('nothing was read');`);
    assert.deepEqual(await idle.exit, fine);
    assert.equal(idle.out, 'nothing was read\n');
  });

  test('a file is an input too, and no input is one that has ended', async (t) => {
    const count = `
      let size = 0;
      for await (const chunk of currentInput()) size += chunk.length;
      await print(size);
      await print(await currentInput().readLine());`;
    const file = shell(t, count, (command) => `${command} < LICENSE; wc -c < LICENSE`);
    assert.deepEqual(await file.exit, fine);
    const [size, line, expected] = file.out.trim().split('\n');
    assert.equal(size, expected);
    assert.equal(line, 'null');
    const closed = shell(t, count, (command) => `${command} <&-`);
    assert.deepEqual(await closed.exit, fine);
    assert.equal(closed.out, '0\nnull\n');
  });

  test('an output that nobody reads any more refuses with EPIPE, and ends no process that does not mind', async (t) => {
    // Standard output is a pipe whose reader has ended for certain before the program is begun.
    const lines = `
      import { writeSync } from 'node:fs';
      await currentInput().readLine();
      void print('left alone');
      void print('and this');
      const flushed = await currentOutput().flushed().catch((error) => error.code);
      const refused = await print('third').catch((error) => error.code + ': ' + error.message);
      await new Promise(setImmediate);
      writeSync(2, [flushed, refused, 'alive'].join('; '));`;
    const child = shell(t, lines, (command) => `exec 3> >(exec true); wait $!; ${command} >&3`);
    child.write('go on\n');
    assert.deepEqual(await child.exit, fine);
    assert.equal(child.err, 'EPIPE; EPIPE: nobody reads the standard output any more; alive');
  });

  test('an EPIPE that is awaited and not caught ends the program, as an error does', async (t) => {
    const lines = `await currentInput().readLine(); for (;;) await print('for ever');`;
    const child = shell(t, lines, (command) => `exec 3> >(exec true); wait $!; ${command} >&3`);
    child.write('go on\n');
    assert.equal((await child.exit).code, 1);
    assert.match(child.err, /nobody reads the standard output any more/u);
  });

  test('what is written arrives whole and in order, and flushed() means with the kernel', async (t) => {
    const child = run(
      t,
      `for (let i = 0; i < 2_000; i += 1) void print(i, 'x'.repeat(1_000));
       await currentOutput().flushed();
       process.kill(process.pid, 'SIGKILL');`,
    );
    assert.deepEqual(await child.exit, { code: null, signal: 'SIGKILL' });
    const expected = Array.from({ length: 2_000 }, (_, i) => `${i} ${'x'.repeat(1_000)}\n`).join('');
    assert.ok(child.out === expected, `${child.out.length} of ${expected.length}`);
  });

  test('only bytes and text can be written', () => {
    assert.throws(() => currentOutput().write(5 as never), { code: 'ERR_PORTSIDE_OPTIONS', op: 'write' });
  });
});

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { connect } from '../../src/net/connect.ts';
import type { Connection } from '../../src/net/connection.ts';
import { endAll } from '../support/nets.ts';
import { inCheckout, start, startNc, startNode } from '../support/program.ts';
import { file, pids, serving, sh, textOf } from './exec-stage.ts';
import { isAlive, untilGone } from './processes.ts';

describe('the end of a program', () => {
  test('a reset by the client ends it and all that it started', async () => {
    const { dial, notices, handler } = await serving(sh('sleep 1000 & echo $$ $!; wait'));
    const client = await dial();
    const group = await pids(client);
    assert.equal(group.length, 2);
    assert.deepEqual(group.filter(isAlive), group);
    client.abort();
    for (const pid of group) await untilGone(pid);
    await handler.idle();
    assert.deepEqual(notices, []);
  });

  test('one that writes for ever is ended when nobody takes it any more', async () => {
    const { dial, notices } = await serving(sh('echo $$; exec yes 2>/dev/null'));
    const client = await dial();
    const [pid = 0] = await pids(client);
    await client.read();
    await client.close({ linger: 0 });
    await untilGone(pid);
    assert.deepEqual(notices, []);
  });

  test('one that ignores SIGTERM is killed after its time, which is told', async () => {
    const { dial, notices, handler } = await serving(sh('trap "" TERM; echo $$; while :; do sleep 1000; done'), {
      killAfter: 60,
    });
    const client = await dial();
    const [pid = 0] = await pids(client);
    const before = performance.now();
    client.abort();
    await untilGone(pid);
    assert.ok(performance.now() - before >= 55);
    await handler.idle();
    assert.deepEqual(notices, [{ kind: 'killed', pid, after: 60 }]);
  });

  test('a child of it that ignores SIGTERM is killed after the same time, though it ended at once itself', async () => {
    const text = `sh -c 'trap "" TERM; echo $PPID $$; while :; do sleep 1000; done'`;
    const { dial, notices, handler } = await serving(sh(text), { killAfter: 60 });
    const client = await dial();
    const [leader = 0, child = 0] = await pids(client);
    client.abort();
    await untilGone(leader);
    await untilGone(child);
    await handler.idle();
    assert.deepEqual(notices, []);
  });

  test('the end of the server’s grace ends it', async () => {
    const { dial, server, notices } = await serving(sh('echo $$; exec sleep 1000'));
    const client = await dial();
    const [pid = 0] = await pids(client);
    await server.stop({ grace: 0 });
    await untilGone(pid);
    await assert.rejects(client.read(), { code: 'ECONNRESET' });
    assert.deepEqual(notices, []);
  });

  test('when both sides have ended in order it has time to finish', async () => {
    const kept = file('finished');
    const { dial, handler, notices } = await serving(sh(`cat; exec >&-; sleep 0.1; echo yes > '${kept}'`));
    const client = await dial();
    await client.closeWrite();
    assert.equal(await client.read(), null);
    await client.closed;
    await handler.idle();
    assert.equal(readFileSync(kept, 'utf8'), 'yes\n');
    assert.deepEqual(notices, []);
  });

  test('and no more time than that, which is told', async () => {
    const { dial, handler, notices } = await serving(sh('echo $$; cat; exec >&-; exec sleep 1000'), {
      killAfter: 60,
    });
    const client = await dial();
    const [pid = 0] = await pids(client);
    await client.closeWrite();
    assert.equal(await client.read(), null);
    await untilGone(pid);
    await handler.idle();
    assert.deepEqual(notices, [{ kind: 'outlived', pid, after: 60 }]);
  });

  test('what it leaves behind may go on writing', async () => {
    const { dial, notices } = await serving(sh('(sleep 0.1; echo later) & echo now'));
    assert.equal(await textOf(await dial()), 'now\nlater\n');
    assert.deepEqual(notices, []);
  });

  test('what it leaves behind in silence with the output open is ended after its time, which is told', async () => {
    for (const text of ['sleep 1000 & echo $$ $!', '(sleep 0.05; echo 1; exec sleep 1000) & echo $$ $!']) {
      const { dial, handler, notices } = await serving(sh(text), { killAfter: 200 });
      const client = await dial();
      const [pid = 0, left = 0] = await pids(client);
      assert.equal(await textOf(client), text.includes('echo 1') ? '1\n' : '');
      await untilGone(left);
      await handler.idle();
      assert.deepEqual(notices, [{ kind: 'left-open', pid, after: 200 }]);
    }
  });

  test('what it leaves behind without the output is nobody’s business', async (t) => {
    const { dial, handler, notices } = await serving(sh('sleep 1000 >&- <&- & echo $!'));
    const client = await dial();
    const [left = 0] = await pids(client);
    t.after(() => process.kill(left, 'SIGKILL'));
    assert.equal(await client.readLine(), null);
    await handler.idle();
    assert.ok(isAlive(left));
    assert.deepEqual(notices, []);
  });

  test('an exit code and a signal are told here, and to the client as an end like any other', async () => {
    const { dial, handler, notices, errors } = await serving(sh('echo $$; read -r how; eval "$how"'));
    const ends: number[] = [];
    for (const how of ['exit 3', 'kill -SEGV $$', 'exit 0']) {
      const client = await dial();
      ends.push(...(await pids(client)));
      await client.write(`${how}\n`);
      assert.equal(await client.readLine(), null);
      assert.equal((await client.close()).kind, 'ended');
      // A process closes what it has open before its end is told, so that the next one may overtake it.
      await handler.idle();
    }
    const [failed = 0, crashed = 0] = ends;
    assert.deepEqual(notices, [
      { kind: 'failed', pid: failed, code: 3 },
      { kind: 'crashed', pid: crashed, signal: 'SIGSEGV' },
    ]);
    assert.deepEqual(errors, []);
  });

  test('it leads a session of its own, so that a Ctrl-C at the terminal is the server’s alone', async (t) => {
    const { port } = await serving(sh('ps -o pid=,pgid=,sid= -p $$'));
    const client = startNc(t, port);
    client.end();
    await client.exit;
    const [pid, group, session] = client.out.trim().split(/\s+/u);
    assert.notEqual(pid, '');
    assert.deepEqual([group, session], [pid, pid]);
  });
});

describe('a server that stops', () => {
  const echo = sh('trap "echo told; exit 0" TERM; echo $$; while read -r line; do echo "$line!"; done; echo over');

  test('lets programs go on with their clients, for its grace', async () => {
    const { dial, server, notices } = await serving(echo);
    const client = await dial();
    await pids(client);
    const stopped = server.stop({ grace: 60_000 });
    await client.write('still\n');
    assert.equal(await client.readLine(), 'still!');
    await client.closeWrite();
    assert.equal(await client.readLine(), 'over');
    await stopped;
    assert.deepEqual(notices, []);
  });

  test('with `end-input` ends their input', async () => {
    const { dial, server, notices } = await serving(echo, { onDrain: 'end-input' });
    const client = await dial();
    await pids(client);
    const stopped = server.stop({ grace: 60_000 });
    assert.equal(await textOf(client), 'over\n');
    await client.close();
    await stopped;
    assert.deepEqual(notices, []);
  });

  test('with `terminate` sends them SIGTERM, and does not tell of those that it ends', async () => {
    const { dial, server, notices } = await serving(echo, { onDrain: 'terminate' });
    const client = await dial();
    await pids(client);
    const plain = await serving(sh('echo $$; cat'), { onDrain: 'terminate' });
    const other = await plain.dial();
    await pids(other);
    const stopped = [server.stop({ grace: 60_000 }), plain.server.stop({ grace: 60_000 })];
    // A shell acts on a signal when what it waits for is over.
    await client.write('wake\n');
    assert.match(await textOf(client), /told\n$/u);
    assert.equal(await textOf(other), '');
    await Promise.all([client.close(), other.close()]);
    await Promise.all(stopped);
    assert.deepEqual([...notices, ...plain.notices], []);
  });
});

describe('a process that serves programs', () => {
  /** A module that serves a program, and says its port. */
  const script = (command: string, more = ''): string => {
    const path = file(`script-${Math.random()}.ts`);
    writeFileSync(
      path,
      `import { execHandler } from '${inCheckout('src/cli/exec-handler.ts')}';
       import { serve } from '${inCheckout('src/server/server.ts')}';
       const handler = execHandler('sh', ['-c', ${JSON.stringify(`${command}\n:`)}]);
       const onError = (error: unknown): void => console.log(\`error \${(error as Error).message}\`);
       const server = await serve(handler, { port: 0, host: '127.0.0.1', transport: 'node', onError });
       console.log(\`port \${(server.addresses[0] as { port: number }).port}\`);
       ${more}`,
    );
    return path;
  };

  test('leaves none behind when it exits, whatever is going on', async (t) => {
    const server = startNode(t, [script('echo $$; exec sleep 1000', `process.on('SIGUSR2', () => process.exit(7));`)]);
    const [, port] = await server.until(/port (\d+)/u);
    const client = startNc(t, Number(port));
    client.end();
    const [, pid] = await client.until(/^(\d+)\n/u);
    server.signal('SIGUSR2');
    assert.deepEqual(await server.exit, { code: 7, signal: null });
    await untilGone(Number(pid));
    await client.exit;
  });

  test('gives them its standard error', async (t) => {
    const server = startNode(t, [script('echo complaint >&2; echo answer')]);
    const [, port] = await server.until(/port (\d+)/u);
    const client = startNc(t, Number(port));
    client.end();
    await client.exit;
    assert.equal(client.out, 'answer\n');
    await server.until(/complaint/u, 'err');
    server.signal('SIGTERM');
    await server.exit;
  });

  test('survives its limit of open files, tells of it, and serves on when there is room', async (t) => {
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', script('echo here; cat')];
    const server = start(t, 'sh', ['-c', 'ulimit -n 48; exec "$@"', 'sh', ...node]);
    const [, port] = await server.until(/port (\d+)/u);
    const clients: Connection[] = [];
    /** Whether a client is served; one that is not is reset, which may come while its connection is still being made. */
    const isServed = async (): Promise<boolean> => {
      try {
        const client = await connect({ host: '127.0.0.1', port: Number(port) }, { transport: 'node' });
        clients.push(client);
        return (await client.readLine()) === 'here';
      } catch (error) {
        assert.equal((error as { code: unknown }).code, 'ECONNRESET');
        return false;
      }
    };
    let served = 0;
    // Without descriptors a connection may wait unaccepted, too: then nothing is answered, and what is told decides.
    const failed = server.until(/error/u).then(() => false);
    while (await Promise.race([isServed(), failed])) served += 1;
    await failed;
    assert.ok(served > 3);
    assert.match(server.out, /sh can't be started: the limit of open files of this process is reached/u);
    await endAll(...clients.splice(0));
    while (!(await isServed()));
    await endAll(...clients);
    server.signal('SIGTERM');
    await server.exit;
  });
});

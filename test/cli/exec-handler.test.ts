import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { execHandler } from '../../src/cli/exec-handler.ts';
import type { ExecOptions } from '../../src/cli/exec-handler.ts';
import { start, startNc } from '../support/program.ts';
import { file, folder, pids, serving, sh, textOf, until } from './exec-stage.ts';
import { isAlive } from './processes.ts';

describe('a program as a server', () => {
  test('what it prints is sent, and the connection ends with it', async (t) => {
    const { port, notices } = await serving(['date', '+year %Y']);
    const client = startNc(t, port);
    client.end();
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.equal(client.out, `year ${new Date().getFullYear()}\n`);
    assert.deepEqual(notices, []);
  });

  test('the end of the client’s input ends the program’s, and what it then prints still arrives', async (t) => {
    const { port } = await serving(sh('cat; echo and the end'));
    const client = startNc(t, port, '-N');
    client.end('one\ntwo\n');
    assert.deepEqual(await client.exit, { code: 0, signal: null });
    assert.equal(client.out, 'one\ntwo\nand the end\n');
  });

  test('when it closes its output the client sees the end, and may go on writing', async () => {
    const kept = file('kept');
    const { dial, handler } = await serving(sh(`echo ready; exec >&-; cat > '${kept}'`));
    const client = await dial();
    assert.equal(await textOf(client), 'ready\n');
    assert.equal(handler.running, 1);
    await client.write('after the end\n');
    await client.closeWrite();
    await handler.idle();
    assert.equal(readFileSync(kept, 'utf8'), 'after the end\n');
    assert.equal((await client.closed).kind, 'ended');
  });

  test('when it closes its input, what the client goes on to send is let go and its output goes on', async () => {
    const go = file('go');
    const { dial } = await serving(sh(`exec <&-; echo deaf; while [ ! -e '${go}' ]; do sleep 0.02; done; echo done`));
    const client = await dial();
    assert.equal(await client.readLine(), 'deaf');
    const block = Buffer.alloc(65_536);
    // More than the kernel keeps.
    for (let i = 0; i < 512; i += 1) await client.write(block);
    await client.flushed();
    writeFileSync(go, '');
    assert.equal(await client.readLine(), 'done');
    assert.equal(await client.readLine(), null);
    await client.close();
  });

  test('megabytes go through it unchanged, however slowly the client reads', async () => {
    const { dial } = await serving(['cat']);
    const client = await dial();
    const sent = createHash('sha256');
    const got = createHash('sha256');
    const total = 12 * 1_048_576;
    const writing = (async () => {
      for (let left = total; left > 0;) {
        const block = randomBytes(Math.min(left, 100_003));
        left -= block.length;
        sent.update(block);
        await client.write(block);
      }
      await client.closeWrite();
    })();
    let length = 0;
    let slow = 0;
    for await (const chunk of client) {
      got.update(chunk);
      length += chunk.length;
      slow += 1;
      if (slow % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await writing;
    assert.equal(length, total);
    assert.equal(got.digest('hex'), sent.digest('hex'));
  });

  test('a client that takes nothing makes it wait, and gets it all when it does', async () => {
    const total = 50_000_000;
    const { dial, served } = await serving(['head', '-c', String(total), '/dev/zero']);
    const client = await dial();
    let length = (await client.read())?.length ?? 0;
    const [server] = served;
    // It comes to a rest with output queued.
    for (let last = -1; server?.queuedBytes !== last || last === 0;) {
      last = server?.queuedBytes ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(server.queuedBytes < 200_000, `${server.queuedBytes} bytes are queued`);
    for await (const chunk of client) length += chunk.length;
    assert.equal(length, total);
  });

  test('what it wrote before it ended arrives, though the client is slow far beyond the linger time', async () => {
    const block = 60_000;
    const text = sh(`while read -r go; do head -c ${block} /dev/zero; done; exit 3`);
    const { dial, served, notices } = await serving(text, {}, { linger: 10 });
    const client = await dial();
    let blocks = 0;
    const [server] = (await until(() => served.length > 0), served);
    // One block after the other, until the kernel takes no more.
    while (server?.queuedBytes === 0) {
      await client.write('go\n');
      blocks += 1;
      const sent = blocks * block;
      await until(() => server.bytesWritten === sent);
    }
    await client.closeWrite();
    await until(() => notices.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    let length = 0;
    for await (const chunk of client) length += chunk.length;
    assert.equal(length, blocks * block);
  });

  test('fifty at a time are served each by its own', async () => {
    const { dial, handler } = await serving(sh('read -r line; echo "$line from $$"'));
    const clients = await Promise.all(Array.from({ length: 50 }, dial));
    await until(() => handler.running === 50);
    await Promise.all(clients.map((client, i) => client.write(`${i}\n`)));
    const answers = await Promise.all(clients.map(textOf));
    for (const [i, answer] of answers.entries()) assert.match(answer, new RegExp(`^${i} from \\d+\n$`, 'u'));
    const programs = answers.map((answer) => Number(answer.split(' ').at(-1)));
    assert.equal(new Set(programs).size, 50);
    await handler.idle();
    assert.deepEqual(programs.filter(isAlive), []);
  });

  test('it runs in the directory and with the variables that are given, by the name that was', async (t) => {
    const { port } = await serving(sh('pwd -P; echo "$GIVEN, ${TAKEN-none}"'), {
      cwd: folder,
      env: { GIVEN: 'yes', TAKEN: undefined },
    });
    const client = startNc(t, port);
    client.end();
    await client.exit;
    assert.match(client.out, /portside-exec-\w+\nyes, none\n$/u);
  });

  test('with `shell` it is a text for sh, and the arguments are never part of it', async (t) => {
    const { port } = await serving(['printf "%s\\n" "$1" | tr a-z A-Z', '$(exit 1); rm *'], { shell: true });
    const client = startNc(t, port);
    client.end();
    await client.exit;
    assert.equal(client.out, '$(EXIT 1); RM *\n');
  });

  test('without `shell` there is none', async (t) => {
    const { port } = await serving(['echo', '$HOME; true', '*']);
    const client = startNc(t, port);
    client.end();
    await client.exit;
    assert.equal(client.out, '$HOME; true *\n');
  });
});

describe('the environment', () => {
  const print = sh('env | grep -E "^(PROTO|TCP|IPC|SSL_P)" | sort');

  test('tells of the connection by UCSPI, and nothing of another one', async (t) => {
    process.env['TCPREMOTEHOST'] = 'stale.example';
    process.env['SSL_PROTOCOL'] = 'TLSv1';
    t.after(() => {
      delete process.env['TCPREMOTEHOST'];
      delete process.env['SSL_PROTOCOL'];
    });
    const { dial, port } = await serving(print);
    const client = await dial();
    const { local } = client;
    assert.deepEqual((await textOf(client)).split('\n'), [
      'PROTO=TCP',
      'TCPCONNNUM=1',
      'TCPLOCALIP=127.0.0.1',
      `TCPLOCALPORT=${port}`,
      'TCPREMOTEIP=127.0.0.1',
      `TCPREMOTEPORT=${'port' in local ? local.port : ''}`,
      '',
    ]);
  });

  test('TCPCONNNUM counts the connections of one client that are served now', async () => {
    const { dial, handler } = await serving(sh('echo $TCPCONNNUM; cat'));
    const first = await dial();
    assert.equal(await first.readLine(), '1');
    const second = await dial();
    assert.equal(await second.readLine(), '2');
    await first.closeWrite();
    assert.equal(await first.readLine(), null);
    await until(() => handler.running === 1);
    const third = await dial();
    assert.equal(await third.readLine(), '2');
    for (const client of [second, third]) {
      await client.closeWrite();
      assert.equal(await client.readLine(), null);
    }
  });

  test('tells of a Unix domain socket', async (t) => {
    const path = file('env.sock');
    await serving(print, {}, { port: undefined, host: undefined, endpoint: `unix://${path}` });
    const client = start(t, 'nc', ['-U', path]);
    client.end();
    await client.exit;
    assert.equal(client.out, `IPCLOCALPATH=${path}\nPROTO=IPC\n`);
  });
});

describe('a client that floods', () => {
  test('a program that takes no input makes it wait, and memory stays bounded', async () => {
    const { dial, handler } = await serving(sh('echo $$; exec sleep 1000'), {}, { linger: 20 });
    const client = await dial();
    const [pid = 0] = await pids(client);
    const before = process.memoryUsage().arrayBuffers;
    // One block for all writes, so that what grows is not the client.
    const block = Buffer.alloc(65_536, 'x');
    let taken = 0;
    void (async () => {
      while (client.closeReason === null) {
        await client.write(block).catch(() => {});
        taken += block.length;
      }
    })();
    // It has to come to a rest: no progress for a while, after a first one.
    for (let last = -1; last !== taken || taken === 0;) {
      last = taken;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    assert.ok(taken < 64 * 1_048_576, `${taken} bytes were taken`);
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 * 1_048_576, 'what is held here is bounded');
    assert.equal(handler.running, 1);
    process.kill(pid, 'SIGTERM');
    await client.closed;
  });
});

describe('what can not be run', () => {
  const wrong: readonly (readonly [string, string, readonly string[], ExecOptions, RegExp])[] = [
    [
      'a name that is nowhere',
      'no-such-program',
      [],
      {},
      /^exec: command must be a program: there is no no-such-program in the folders of PATH$/u,
    ],
    [
      'a path that does not exist',
      './none',
      [],
      { cwd: '/' },
      /^exec: command must be a program: \/none does not exist$/u,
    ],
    ['a directory', '/', [], {}, /^exec: command must be a program: \/ is not a file$/u],
    ['no name', '', [], {}, /command must be a string that is not empty/u],
    ['a NUL in an argument', 'echo', ['a\0b'], {}, /args\[0\] must be a string without NUL/u],
    ['a directory that is none', 'echo', [], { cwd: '/none' }, /options\.cwd must be a directory: \/none is none/u],
    ['a time that is none', 'echo', [], { killAfter: -1 }, /options\.killAfter must be/u],
    ['a shell in no directory', 'echo', [], { shell: true, env: { X: '\0' } }, /options\.env\.X must be/u],
  ];
  for (const [what, command, args, options, says] of wrong) {
    test(`${what} is told before anything is served`, () => {
      assert.throws(() => execHandler(command, args, options), { code: 'ERR_PORTSIDE_OPTIONS', message: says });
    });
  }

  test('a file that may not be executed is told as such, unless a later folder of PATH has one that may', () => {
    const plain = file('tool');
    writeFileSync(plain, '#!/bin/sh\n');
    chmodSync(plain, 0o644);
    const runs = join(mkdtempSync(join(folder, 'bin-')), 'tool');
    copyFileSync('/bin/echo', runs);
    chmodSync(runs, 0o755);
    assert.throws(() => execHandler(plain), { message: /tool may not be executed by this user/u });
    assert.throws(() => execHandler('tool', [], { env: { PATH: folder } }), { message: /tool may not be executed/u });
    const path = `${folder}:${join(runs, '..')}`;
    assert.equal(execHandler('tool', [], { env: { PATH: path } }).file, runs);
    assert.equal(execHandler('../bin/sh', [], { cwd: '/usr' }).file, '/bin/sh');
  });

  test('a program that has gone meanwhile ends the connection that came for it, and no other', async () => {
    const program = file('leaves');
    copyFileSync('/bin/cat', program);
    chmodSync(program, 0o755);
    const { dial, errors, handler } = await serving([program]);
    const first = await dial();
    await first.write('a\n');
    assert.equal(await first.readLine(), 'a');
    rmSync(program);
    // The reset may come while the connection is still being made.
    await assert.rejects(
      dial().then((second) => second.read()),
      { code: 'ECONNRESET' },
    );
    await until(() => errors.length > 0);
    assert.equal(handler.running, 1);
    const [error] = errors as { code: string; message: string }[];
    assert.equal(error?.code, 'ENOENT');
    assert.match(error.message, /leaves can't be started: the file, its interpreter or the directory/u);
    await first.write('b\n');
    assert.equal(await first.readLine(), 'b');
    first.abort();
  });
});

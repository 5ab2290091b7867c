import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PortsideError } from '../../src/base/errors.ts';
import { groupLimits, memory, processors } from '../../src/cli/doctor/cgroup.ts';
import { backlog, ceiling, descriptors, localPorts } from '../../src/cli/doctor/limits.ts';
import { node, platform, supportedNodes } from '../../src/cli/doctor/platform.ts';
import { transport } from '../../src/cli/doctor/transport.ts';

const defaults = { maxConnections: 1_000, backlog: 100 };

describe('Node', () => {
  test('is supported where the package says so', () => {
    const ranges = '^22.18.0 || ^24.11.0 || >=26.0.0';
    for (const version of ['22.18.0', '22.19.3', '24.11.0', '24.30.1', '26.0.0', '27.1.0'])
      assert.equal(node(version, ranges).state, 'ok', version);
    for (const version of ['20.20.2', '22.17.9', '23.11.0', '24.10.9', '25.9.0'])
      assert.equal(node(version, ranges).state, 'bad', version);
    assert.match(supportedNodes(), /^\^\d+\.\d+\.\d+ \|\| /u);
  });

  test('a platform that is not Linux is a note', () => {
    assert.equal(platform('linux').state, 'ok');
    assert.equal(platform('darwin').state, 'note');
  });
});

describe('the transport', () => {
  const of = (name: 'node' | 'native', why: string, said: string): ReturnType<typeof transport> =>
    transport(() => ({ name, why }), said);

  test('is told with the reason, and is a note where it could be faster and nobody said that it should not', () => {
    const missing = of('node', 'there is none for beos', '');
    assert.deepEqual([missing.state, missing.found], ['note', 'node: there is none for beos']);
    assert.match(missing.todo ?? '', /nothing is lost but speed/u);
    assert.deepEqual(missing.values, { name: 'node', why: 'there is none for beos', PORTSIDE_TRANSPORT: null });
    assert.equal(of('node', 'there is none for beos', 'auto').state, 'note');
    const wished = of('node', 'PORTSIDE_TRANSPORT is node', 'node');
    assert.deepEqual([wished.state, wished.todo], ['ok', null]);
    const native = of('native', 'it loads', '');
    assert.deepEqual([native.state, native.found, native.todo], ['ok', 'native: it loads', null]);
  });

  test('is bad when it can not be had', () => {
    const none = (): never => {
      throw new PortsideError('ERR_PORTSIDE_UNSUPPORTED', 'there is none for beos', {});
    };
    const { state, found, todo } = transport(none, 'native');
    assert.equal(state, 'bad');
    assert.match(found, /there is none for beos/u);
    assert.match(todo ?? '', /PORTSIDE_TRANSPORT to auto/u);
  });
});

describe('limits', () => {
  test('descriptors are enough from as many as there may be connections, beside those that are open', () => {
    const state = (soft: number | null, open: number | null): string =>
      descriptors({ soft, hard: soft, open }, defaults).state;
    assert.deepEqual(
      [state(1_020, 20), state(1_019, 20), state(Infinity, 20), state(1_000, null)],
      ['ok', 'bad', 'ok', 'ok'],
    );
    assert.match(
      descriptors({ soft: 120, hard: 120, open: 20 }, defaults).todo ?? '',
      /raise it to 1020 or more .* --max-connections 100$/u,
    );
  });

  test('the ceiling, the backlog and the ports are held against what a server asks for', () => {
    assert.equal(ceiling(defaults, 1_000, [0, 0, 1_000]).state, 'ok');
    assert.match(ceiling(defaults, 999, [0, 0, 1_000]).todo ?? '', /sysctl -w fs\.nr_open=/u);
    assert.match(ceiling(defaults, 1_000, [1, 0, 1_000]).todo ?? '', /sysctl -w fs\.file-max=/u);
    assert.equal(backlog(defaults, 100).state, 'ok');
    assert.match(backlog(defaults, 99).todo ?? '', /cuts it to 99, .* sysctl -w net\.core\.somaxconn=100$/u);
    assert.equal(localPorts(defaults, [1_001, 2_000]).state, 'ok');
    assert.equal(localPorts(defaults, [1_001, 1_999]).state, 'note');
  });

  test('what can not be read is unknown, and never bad', () => {
    const all = [
      descriptors({ soft: null, hard: null, open: null }, defaults),
      ceiling(defaults, null, null),
      backlog(defaults, null),
      localPorts(defaults, null),
    ];
    for (const { id, state, found, todo } of all) {
      assert.equal(state, 'note', id);
      assert.match(found, /unknown/u);
      assert.notEqual(todo, null);
    }
    const none = groupLimits(() => null);
    assert.deepEqual(none, { read: false, cpu: null, memory: null });
    assert.match(processors(none).found, /quota unknown/u);
    assert.match(memory(none).found, /limit unknown/u);
  });
});

describe('control groups', () => {
  const within = (texts: Readonly<Record<string, string>>): ReturnType<typeof groupLimits> =>
    groupLimits((path) => texts[path] ?? null);
  const MiB = 1_048_576;

  test('of version 2: the least of the own group and those around it', () => {
    const mountinfo = '31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate';
    const limits = within({
      '/proc/self/cgroup': '0::/system.slice/chat.service',
      '/proc/self/mountinfo': mountinfo,
      '/sys/fs/cgroup/system.slice/chat.service/cpu.max': 'max 100000',
      '/sys/fs/cgroup/system.slice/chat.service/memory.max': String(512 * MiB),
      '/sys/fs/cgroup/system.slice/cpu.max': '150000 100000',
      '/sys/fs/cgroup/system.slice/memory.max': 'max',
    });
    assert.deepEqual(limits, { read: true, cpu: 1.5, memory: 512 * MiB });
  });

  test('of a container, whose own group is the root of what it sees', () => {
    const limits = within({
      '/proc/self/cgroup': '0::/',
      '/proc/self/mountinfo': '31 23 0:28 / /sys/fs/cgroup ro - cgroup2 cgroup rw',
      '/sys/fs/cgroup/cpu.max': '50000 100000',
      '/sys/fs/cgroup/memory.max': String(64 * MiB),
    });
    assert.deepEqual(limits, { read: true, cpu: 0.5, memory: 64 * MiB });
  });

  test('of version 1: each controller by its own tree, in a container too', () => {
    const limits = within({
      '/proc/self/cgroup': '4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/',
      '/proc/self/mountinfo': [
        '33 31 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct',
        '35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory',
      ].join('\n'),
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '200000',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': String(256 * MiB),
    });
    assert.deepEqual(limits, { read: true, cpu: 2, memory: 256 * MiB });
    const none = within({
      '/proc/self/cgroup': '4:memory:/\n3:cpu:/',
      '/proc/self/mountinfo':
        '33 31 0:30 / /cg/cpu ro - cgroup cgroup rw,cpu\n35 31 0:32 / /cg/memory ro - cgroup cgroup rw,memory',
      '/cg/cpu/cpu.cfs_quota_us': '-1',
      '/cg/cpu/cpu.cfs_period_us': '100000',
      '/cg/memory/memory.limit_in_bytes': '9223372036854771712',
    });
    assert.deepEqual(none, { read: true, cpu: null, memory: null });
  });

  test('a quota below the processors, and a heap above the limit, are told with the number to give', () => {
    assert.equal(processors({ read: true, cpu: 4, memory: null }, 8, 4).state, 'ok');
    assert.match(processors({ read: true, cpu: 2.5, memory: null }, 8, 8).todo ?? '', /--workers 2,/u);
    assert.match(processors({ read: true, cpu: 0.5, memory: null }, 8, 8).todo ?? '', /--workers 1,/u);
    assert.equal(memory({ read: true, cpu: null, memory: 512 * MiB }, 4_096 * MiB, 256 * MiB).state, 'ok');
    assert.match(
      memory({ read: true, cpu: null, memory: 512 * MiB }, 4_096 * MiB, 2_048 * MiB).todo ?? '',
      /--max-old-space-size=256$/u,
    );
  });
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

/** One value of a metric, as Prometheus reads it. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A text of metrics, read again. */
export class Scraped {
  readonly types: Map<string, string> = new Map();
  readonly samples: Sample[] = [];

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const type = /^# TYPE (\S+) (\S+)$/u.exec(line);
      if (type !== null) this.types.set(type[1]!, type[2]!);
      if (line === '' || line.startsWith('#')) continue;
      const [, name, given = '', value] = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/u.exec(line) ?? [];
      assert.ok(name !== undefined, line);
      const labels = [...given.matchAll(/([a-z_0-9]+)="((?:[^"\\]|\\.)*)"/gu)].map(([, key, text]) => [key, text]);
      this.samples.push({
        name,
        labels: Object.fromEntries(labels) as Record<string, string>,
        value: Number(value === '+Inf' ? Infinity : value),
      });
    }
  }

  /** The value with these labels, and maybe more. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.samples.filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    );
    assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}`);
    return found[0]!.value;
  }

  /** All with that name together. */
  sum(name: string): number {
    return this.samples.filter((one) => one.name === name).reduce((total, { value }) => total + value, 0);
  }
}

/** Why tests with Prometheus are left out; false where it is there. With PORTSIDE_REQUIRE_OPS=1 its absence is an error. */
export function withoutPrometheus(): string | false {
  const found = ['prometheus', 'promtool'].every((name) => spawnSync(name, ['--version']).error === undefined);
  if (found) return false;
  if (process.env['PORTSIDE_REQUIRE_OPS'] === '1') throw new Error('prometheus is not installed');
  return 'prometheus is not installed';
}

/** What promtool has to say about a text of metrics: nothing, when all is well. */
export function promtool(text: string): string {
  const { status, stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (error !== undefined) throw error;
  return status === 0 ? `${stdout}${stderr}` : `exit ${String(status)}: ${stdout}${stderr}`;
}

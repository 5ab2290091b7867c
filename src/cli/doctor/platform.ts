import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { Finding } from './finding.ts';

/** The platform: what is made for it, and what not. */
export function platform(name: string = process.platform): Finding {
  const values = { platform: name, arch: process.arch, kernel: release() };
  const found = `${name} ${process.arch}, kernel ${values.kernel}`;
  const means = 'the native core and the limits below are those of Linux';
  if (name === 'linux') return { id: 'platform', state: 'ok', found, means, todo: null, values };
  return { id: 'platform', state: 'note', found, means, todo: 'serve on Linux; here is good for development', values };
}

/** The versions of Node that the package is for, by its `engines`. */
export function supportedNodes(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { engines: { node: string } }).engines.node;
}

/** Node's version, against the ranges of the package. */
export function node(version: string = process.versions.node, ranges: string = supportedNodes()): Finding {
  const values = { version, supported: ranges };
  const means = `this version needs ${ranges}`;
  if (ranges.split('||').some((range) => isWithin(version, range.trim())))
    return { id: 'node', state: 'ok', found: version, means, todo: null, values };
  return {
    id: 'node',
    state: 'bad',
    found: `${version}, which is not supported`,
    means,
    todo: 'install one of those',
    values,
  };
}

/** Whether a version is in a range `^a.b.c` (that, or later of the same major) or `>=a.b.c`. */
function isWithin(version: string, range: string): boolean {
  const [, sign, wanted = ''] = /^(\^|>=)(\d+\.\d+\.\d+)$/u.exec(range) ?? [];
  if (sign === undefined) return false;
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0, wantedPatch = 0] = wanted.split('.').map(Number);
  if (major !== wantedMajor) return sign === '>=' && major > wantedMajor;
  return minor === wantedMinor ? patch >= wantedPatch : minor > wantedMinor;
}

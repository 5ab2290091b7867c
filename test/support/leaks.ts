import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';

/** What is open in this process now: Node's own resources by kind, and socket descriptors where the system lists them. */
type Census = ReadonlyMap<string, number>;

const COUNTED = /tcp|pipe|udp|socket|server|timeout|timer|immediate|worker|process|connect/iu;
const TURNS = 200;

function count(counts: Map<string, number>, kind: string): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}

function census(): Census {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) if (COUNTED.test(kind)) count(counts, kind);
  let descriptors: string[] = [];
  try {
    descriptors = readdirSync('/proc/self/fd');
  } catch {
    // Only Linux lists them here; elsewhere Node's own resources have to do.
  }
  for (const fd of descriptors) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')) count(counts, 'descriptor of a socket');
    } catch {
      // The descriptor of the listing itself is closed by now.
    }
  }
  return counts;
}

function surplus(before: Census, after: Census): string[] {
  const more: string[] = [];
  for (const [kind, now] of after) {
    const then = before.get(kind) ?? 0;
    if (now > then) more.push(`${kind}: ${then} before, ${now} after`);
  }
  return more;
}

/**
 * Remembers what is open and gives the check for later: it waits some turns of the loop for what is being closed, and
 * then fails with a list of what is open beyond that.
 */
export function watchLeaks(): () => Promise<void> {
  const before = census();
  return async () => {
    let left: string[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      left = surplus(before, census());
      if (left.length === 0) return;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    assert.fail(`left open: ${left.join('; ')}`);
  };
}

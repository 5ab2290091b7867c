import { explain } from '../explain.ts';
import { groupLimits, memory, processors } from './cgroup.ts';
import { defaultsOfServer } from './defaults.ts';
import type { Finding } from './finding.ts';
import { backlog, ceiling, descriptorLimits, descriptors, localPorts } from './limits.ts';
import { node, platform } from './platform.ts';
import { ipv6, lowPorts, reusePort, tls } from './probes.ts';
import { transfer, transport } from './transport.ts';

/** Looks at all that a server needs of its machine: reads what there is to read, and tries the rest on loopback. */
export async function examine(): Promise<readonly Finding[]> {
  const group = groupLimits();
  // Before anything is opened for a try.
  const limits = descriptorLimits();
  const found: Finding[] = [platform(), node(), transport()];
  try {
    const defaults = await defaultsOfServer();
    found.push(descriptors(limits, defaults), ceiling(defaults), backlog(defaults), localPorts(defaults));
  } catch (error) {
    found.push({
      id: 'loopback',
      state: 'bad',
      found: `no server can be started: ${explain(error, false)}`,
      means: 'a server on 127.0.0.1 is the least that has to work',
      todo: 'bring loopback up (ip link set lo up), and let this user listen',
      values: {},
    });
  }
  found.push(
    processors(group),
    memory(group),
    await transfer(),
    await reusePort(),
    await ipv6(),
    await lowPorts(),
    await tls(),
  );
  return found;
}

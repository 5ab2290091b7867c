import assert from 'node:assert/strict';
import { systemClock } from '../../src/sync/clock.ts';
import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import type { BindTarget } from '../../src/transport/contract.ts';
import { memoryNetwork } from '../../src/transport/memory/memory-network.ts';
import { dialTarget } from '../conformance/backends.ts';
import { conformance } from '../conformance/suite.ts';

// `memory://` names are held to the suite beside it; these are the other kinds of address that a network in memory has.
function hold(name: string, virtual: boolean, target: (number: number) => BindTarget): void {
  conformance(name, () => {
    const clock = virtual ? new VirtualClock() : undefined;
    const network = memoryNetwork({ seed: 1, clock: clock ?? systemClock });
    let number = 0;
    return {
      transport: network.transport,
      target: () => target(number++),
      dialTarget,
      exhaust: (on) => network.exhaustDescriptors(on),
      ...(clock === undefined ? {} : { settle: () => clock.advance(1) }),
      async cleanup() {
        if (clock !== undefined) await clock.settle();
        assert.equal(network.open, 0, 'ends left open');
        assert.equal(network.listening, 0, 'listeners left open');
      },
    };
  });
}

hold('memory, paths', false, (number) => ({ kind: 'unix', path: `/run/${number}.sock` }));
hold('memory, ports in virtual time', true, () => ({ kind: 'tcp', host: '127.0.0.1', port: 0, ipv6Only: false }));

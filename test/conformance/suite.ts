import { describe } from 'node:test';
import { accepting } from './accepting.ts';
import { alone } from './alone.ts';
import { dialling } from './dialling.ts';
import { ending } from './ending.ts';
import { handing } from './handing.ts';
import { keeping } from './keeping.ts';
import { reading } from './reading.ts';
import type { Make } from './stage.ts';
import { writing } from './writing.ts';

/**
 * Holds a backend to the contract of `src/transport/contract.ts`: one test per promise, on a fresh backend each.
 * What may differ between backends hangs on `transport.flags` and the kind of target, and on nothing else; but that channels
 * under TLS can't be released, which `releases: false` says.
 */
export function conformance(name: string, make: Make, { releases = true }: { readonly releases?: boolean } = {}): void {
  describe(`the transport contract on ${name}`, () => {
    reading(make);
    writing(make);
    ending(make);
    dialling(make);
    accepting(make);
    if (releases) handing(make);
    else keeping(make);
    alone(make);
  });
}

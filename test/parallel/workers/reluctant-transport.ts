import type { Passage } from '../../../src/transport/passage.ts';
import type { Transport } from '../../../src/transport/contract.ts';
import { loadNative } from '../../../src/transport/native/load.ts';
import { nativeTransport } from '../../../src/transport/native/transport.ts';
import { nodeTransport } from '../../../src/transport/node/transport.ts';

const base = 'addon' in loadNative() ? nativeTransport() : nodeTransport;

/** Gives the real one's connections, but for the first, which it can't. */
function reluctant(passage: Passage): Passage {
  let asked = 0;
  return new Proxy(passage, {
    get(target, key) {
      if (key !== 'give') {
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      }
      return (...args: Parameters<Passage['give']>) => {
        asked += 1;
        if (asked === 1) throw new RangeError('no memory for it');
        return target.give(...args);
      };
    },
    set: (target, key, value) => Reflect.set(target, key, value, target),
  });
}

/** A transport of a user's own, over the best that there is. */
export const transport: Transport = {
  name: 'reluctant',
  flags: base.flags,
  listen: (target, options) => base.listen(target, options),
  dial: (target) => base.dial(target),
  adopt: (released) => base.adopt(released),
  passages: base.passages && {
    passage: (capacity) => reluctant(base.passages!.passage(capacity)),
    arrivals: (...args) => base.passages!.arrivals(...args),
  },
};

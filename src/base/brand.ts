/** A mark on a class that holds across copies of the package, versions and bundles, where `instanceof` doesn't. */
export interface Brand<T extends object> {
  /** Marks a prototype, and with it everything made from it. Once per class, beside it. */
  mark(prototype: T): void;
  /** Whether a value carries the mark. Never throws, and runs no code of the value unless it is a proxy. */
  is(value: unknown): value is T;
}

/**
 * A brand by name: `const listeners = branded<Listener>('listener')`, then `listeners.mark(Listener.prototype)`, and
 * `isListener = (value) => listeners.is(value)`. The same name is the same brand in every copy of the package
 * (`Symbol.for('portside.listener')`).
 */
export function branded<T extends object>(name: string): Brand<T> {
  const symbol = Symbol.for(`portside.${name}`);
  return {
    mark(prototype) {
      Object.defineProperty(prototype, symbol, { value: true });
    },
    is(value): value is T {
      return typeof value === 'object' && value !== null && symbol in value;
    },
  };
}

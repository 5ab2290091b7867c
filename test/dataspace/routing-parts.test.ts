import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Atom, Atoms } from '../../src/dataspace/routing-atoms.ts';
import { hashOf, RoutingEntry, RoutingTable } from '../../src/dataspace/routing-table.ts';

function valuesOf(table: RoutingTable<number>, atoms: readonly Atom[]): number[] {
  const values: number[] = [];
  const chain = table.find(hashOf(atoms, table.mask), atoms);
  for (let link = chain?.first ?? null; link !== null; link = link.after) values.push(link.entry.value);
  return values;
}

describe('a table of the routing index', () => {
  test('tells constants apart that have the same hash', () => {
    // Two hashes for six constants: every chain has others behind it.
    const atoms = Array.from({ length: 6 }, (_none, i) => new Atom(i % 2));
    const steps = fc.array(fc.tuple(fc.nat({ max: 5 }), fc.boolean()), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (each) => {
        const table = new RoutingTable<number>(1);
        const present: RoutingEntry<number>[] = [];
        for (const [id, [which, comes]] of each.entries()) {
          if (comes) {
            const entry = new RoutingEntry<number>(id, id, [atoms[which]!]);
            entry.links.push(table.add(entry));
            present.push(entry);
          } else {
            const gone = present.findIndex((entry) => entry.atoms[0] === atoms[which]);
            if (gone >= 0) table.remove(present.splice(gone, 1)[0]!.links[0]!);
          }
          for (const atom of atoms) {
            const expected = present.filter((entry) => entry.atoms[0] === atom).map((entry) => entry.value);
            assert.deepEqual(valuesOf(table, [atom]), expected);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('the constants of the routing index', () => {
  test('are one for all numbers that are equal, and different for all others', () => {
    const atoms = new Atoms();
    const taken = new Map<number, Atom>();
    const numbers = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 0.5, Number.NaN, Number.MAX_VALUE];
    for (let i = 1; i < 200_000; i++) numbers.push(Math.imul(i, 0x9e37_79b1));
    for (const number of numbers) taken.set(number, atoms.take(number));
    assert.equal(atoms.size, taken.size);
    for (const [number, atom] of taken) assert.equal(atoms.find(number), atom);
    for (const number of numbers) atoms.give(atoms.find(number)!);
    assert.equal(atoms.size, 0);
  });

  test('stay for who comes back, and go when they are more than those in use', () => {
    const atoms = new Atoms();
    const others = Array.from({ length: 100 }, (_none, i) => atoms.take(i));
    const first = atoms.take('flickers');
    const bytes = atoms.take(Uint8Array.of(1, 2, 3));
    for (let i = 0; i < 1_000; i++) {
      atoms.give(first);
      assert.equal(atoms.find('flickers'), undefined);
      assert.equal(atoms.take('flickers'), first, 'nothing was deleted and set again');
    }
    atoms.give(first);
    for (let i = 0; i < 200; i++) atoms.give(atoms.take(`passes ${i}`));
    assert.notEqual(atoms.take('flickers'), first);
    for (const [i, atom] of others.entries()) assert.equal(atoms.find(i), atom);
    assert.equal(atoms.findBytes(Uint8Array.of(1, 2, 3)), bytes);
    assert.equal(atoms.size, 102);
  });

  test('are there as long as somebody has them', () => {
    const atoms = new Atoms();
    const bytes = Uint8Array.of(1, 2);
    const [first, second] = [atoms.take(bytes), atoms.take(Uint8Array.of(1, 2))];
    assert.equal(first, second);
    atoms.take(Uint8Array.of(3, 4));
    atoms.give(first);
    assert.equal(atoms.findBytes(Buffer.from(bytes)), first);
    atoms.give(first);
    assert.equal(atoms.findBytes(bytes), undefined);
    assert.notEqual(atoms.findBytes(Uint8Array.of(3, 4)), undefined);
    assert.equal(atoms.findBytes(Uint8Array.of(3)), undefined);
    assert.equal(atoms.size, 1);
  });
});

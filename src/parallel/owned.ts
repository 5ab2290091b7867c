import { currentScope } from '../sync/scope.ts';

/** Has something ended with the scope that is current now, until what this gives back is called. */
export function ownedByScope(what: string, drop: () => Promise<void>): () => void {
  return currentScope()?.own({ what, drop }) ?? (() => {});
}

/**
 * One end of a channel: a worker by its number, or the parent of all workers. Tell them apart by `if (peer.parent)`. Numbers go up: every worker that is started has one of its own, also
 * one that takes the place of another.
 */
export type Peer =
  | { readonly worker: number; readonly parent?: undefined }
  | { readonly parent: true; readonly worker?: undefined };

/** A worker has come, or has gone, for whatever reason. One that is restarted goes, and another comes. */
export interface MemberEvent {
  readonly kind: 'joined' | 'gone';
  /** The worker's number. */
  readonly worker: number;
}

/**
 * Messages of one kind between the workers of a parallel listener, and its parent. Made by `channel(name)`.
 *
 * Members are the other workers and the parent, whether they use this channel or not. A worker becomes one when its module is loaded, or with the
 * first thing that it sends. In a process without a parallel listener nobody else is there, and everything works.
 *
 * What one member sends on one channel arrives in the order in which it was sent, at most once. Nothing is kept for later: a message for
 * a member that has no receiver on the channel yet is gone. A member that is too far behind (10,000 messages, by default) loses
 * what comes meanwhile, which the parent counts.
 *
 * Values are copied as `structuredClone` does: bytes too, classes arrive as plain objects, and a `SharedArrayBuffer` is shared. Of a view of bytes
 * inside of another value all the memory that it is a view of is copied, also what isn't seen through it. What a stranger may nest as deeply as he likes
 * has to be bounded before: threads have stacks of different sizes, and from some thousand levels on a value is lost on its way, with others of its turn.
 */
export interface WorkerChannel<T = unknown> {
  readonly name: string;
  /** This worker's number; null in the parent, and without a parallel listener. */
  readonly self: number | null;
  /** The numbers of the other workers that are there now, from the lowest. */
  readonly members: readonly number[];
  /**
   * Sends to every other member: the other workers, and the parent. Never to oneself.
   * Throws ERR_PORTSIDE_OPTIONS for a value that can't be cloned, with the reason as `cause`, and in a worker ERR_PORTSIDE_LIMIT, with nothing sent,
   * when the parent is behind by more messages than the limit.
   */
  broadcast(value: T): void;
  /**
   * Sends to one. A `from` that a receiver was given is that very worker. False when nobody is there by
   * that name, or it is oneself, or (in the parent) it is behind by more messages than the limit; true doesn't say that it will arrive.
   * Throws as {@link WorkerChannel.broadcast} does, and ERR_PORTSIDE_OPTIONS for what is no {@link Peer}.
   */
  send(to: Peer, value: T): boolean;
  /**
   * Calls `receiver` for every message that comes, until what it returns is called. It runs for no connection; what it throws reaches the process as
   * an uncaught exception and stops no other receiver. The value belongs to all receivers of this thread together.
   */
  receive(receiver: (value: T, from: Peer) => void): () => void;
  /**
   * Calls `watcher` when a worker comes or goes, until what it returns is called. Whoever is there already when this thread becomes a
   * member comes then. After a worker's `gone` there is no message of it. Errors as with {@link WorkerChannel.receive}.
   */
  onMember(watcher: (event: MemberEvent) => void): () => void;
}

import { anything, check, checkValue, fn, integer, string, table } from '../../base/options.ts';
import type { Agrees } from '../../base/options.ts';
import type { AbsenceEvent, Handlers, MessageEvent, Orientation, PresenceEvent } from '../endpoint.ts';
import { formatReason } from '../format-reason.ts';
import { formatTopic } from '../format-topic.ts';
import { _ } from '../hole.ts';
import { Pattern } from '../pattern.ts';
import type { Boot, Self } from '../self.ts';
import type { Topic } from '../topic-types.ts';

/** Where a spy writes, line by line. */
export type SpySink = (line: string) => void;

/** Settings of {@link spy}. */
export interface SpyOptions {
  /**
   * What is looked at: what meets this topic.
   * @default `_`, everything
   */
  readonly topic?: Topic | undefined;
  /** Stands behind the time in each line. @default 'spy' */
  readonly label?: string | undefined;
  /** The longest text of a topic, in UTF-16 units. @default 400 */
  readonly limit?: number | undefined;
}

const spyTable = table('spy', { topic: anything<Topic>(), label: string(), limit: integer({ min: 1 }) });
const agreed: Agrees<typeof spyTable, SpyOptions> = true;
void agreed;
const sinkRule = fn<SpySink>();

/**
 * The actor that writes down what goes on in a space, one line for each thing.
 *
 *     space.spawn(spy((line) => console.error(line)));
 *     // 2025-01-01T00:00:00.000Z spy + subscriber 3 of actor 2 says("ann", _)
 *     // 2025-01-01T00:00:00.000Z spy > says("ann", "hello")
 *     // 2025-01-01T00:00:00.000Z spy - subscriber 3 of actor 2 says("ann", _) withdrawn
 *
 * `+` is who came, or was there when the spy came; `-` who went, and why; `>` what was sent to subscribers, `<` what was fed
 * back to publishers. Who merely watches has its interest behind it. The time is the wall clock's of the space. In a line
 * nothing can move a terminal's cursor but what is in the label.
 *
 * Nobody sees the spy but those that want to see everything, and it does not keep `space.run()` waiting. A nested space has
 * an actor more by it, and does not end before that has. A sink that throws ends the spy. One that sends what it is given
 * into the space it comes from has to see to it that the spy's topic does not meet that.
 *
 * @throws ERR_PORTSIDE_OPTIONS, ERR_PORTSIDE_TOPIC
 */
export function spy(sink: SpySink, options?: SpyOptions): Boot {
  checkValue('spy', 'sink', sinkRule, sink);
  const { topic = _, label = 'spy', limit = 400 }: SpyOptions = check(spyTable, options);
  void new Pattern(topic);
  const show = (what: Topic): string => formatTopic(what, { limit });
  return (self) =>
    watchAll(self, topic, {
      line: (text) => sink(`${timeOf(self)} ${label} ${text}`),
      came: (side, event) => `+ ${whoIs(side, event)} ${show(event.topic)}`,
      went: (side, event) => `- ${whoIs(side, event)} ${show(event.topic)} ${formatReason(event.reason)}`,
      said: (side, event) => `${side === 'subscriber' ? '>' : '<'} ${show(event.topic)}`,
    });
}

/** What is written of what a spy sees; `side` is that of the peer, or of whom a message is for. */
export interface SpyWords {
  line(text: string): void;
  came(side: Orientation, event: PresenceEvent<Topic>): string;
  went(side: Orientation, event: AbsenceEvent<Topic>): string;
  said(side: Orientation, event: MessageEvent<Topic>): string | readonly string[];
}

/** Looks at both sides of a topic, without taking part. */
export function watchAll(self: Self, topic: Topic, words: SpyWords): void {
  const on = (side: Orientation, hears: Orientation): Handlers<Topic> => ({
    // Its other endpoint is seen by this one.
    onPresence: (event) => {
      if (event.actor !== self.id) words.line(words.came(side, event));
    },
    onAbsence: (event) => {
      if (event.actor !== self.id) words.line(words.went(side, event));
    },
    onMessage: (event) => {
      const said = words.said(hears, event);
      if (typeof said === 'string') words.line(said);
      else for (const line of said) words.line(line);
    },
  });
  const options = { interest: 'everything' } as const;
  self.observePublishers(topic, on('publisher', 'subscriber'), options);
  self.observeSubscribers(topic, on('subscriber', 'publisher'), options);
}

/** The time of a line. */
export function timeOf({ clock }: Self): string {
  return new Date(clock.wall()).toISOString();
}

/** A peer, as a line names it. */
export function whoIs(side: Orientation, { peer, actor, interest }: PresenceEvent<Topic>): string {
  const how = interest === 'participant' ? '' : ` (${interest})`;
  return `${side} ${peer} of actor ${actor}${how}`;
}

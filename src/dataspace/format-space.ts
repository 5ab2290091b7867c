import { check, integer, table } from '../base/options.ts';
import type { Agrees } from '../base/options.ts';
import type { EndpointId } from './endpoint.ts';
import { formatTopic } from './format-topic.ts';
import type { ActorReport, EndpointReport, MatchReport, SpaceReport } from './inspect.ts';

/** How much of a space is written. */
export interface FormatSpaceOptions {
  /**
   * The longest text of a topic, in UTF-16 units.
   * @default 200
   */
  readonly limit?: number | undefined;
  /**
   * Of how many of those that an endpoint meets something is said.
   * @default 8
   */
  readonly peers?: number | undefined;
}

const formatTable = table('formatSpace', { limit: integer({ min: 1 }), peers: integer({ min: 0 }) });
const agreed: Agrees<typeof formatTable, FormatSpaceOptions> = true;
void agreed;

/**
 * What `space.inspect()` reports as an indented text, for people: the actors, their endpoints, and whom these meet.
 *
 *     space: 2 actors, 5 turns, nothing outstanding
 *       actor 1 "ann": nothing queued, nothing outstanding
 *         publisher 1 says("ann", _)
 *           meets subscriber 2 of actor 2 "bob"
 *       …
 *
 * What two endpoints have in common is said where it is not the whole of the endpoint's own topic. Actors of a nested space
 * stand beneath the one that stands for it.
 *
 * @throws ERR_PORTSIDE_OPTIONS
 */
export function formatSpace(report: SpaceReport, options?: FormatSpaceOptions): string {
  const { limit = 200, peers = 8 }: FormatSpaceOptions = check(formatTable, options);
  const out: string[] = [];
  new SpaceWriter(out, report, limit, peers).write(0);
  return out.join('\n');
}

interface Owned {
  readonly actor: ActorReport;
  readonly endpoint: EndpointReport;
}

/** Writes one space. */
class SpaceWriter {
  readonly #out: string[];
  readonly #report: SpaceReport;
  readonly #limit: number;
  readonly #peers: number;
  readonly #owners = new Map<EndpointId, Owned>();
  readonly #meets = new Map<EndpointId, MatchReport[]>();

  constructor(out: string[], report: SpaceReport, limit: number, peers: number) {
    this.#out = out;
    this.#report = report;
    this.#limit = limit;
    this.#peers = peers;
    for (const actor of report.actors)
      for (const endpoint of actor.endpoints) this.#owners.set(endpoint.id, { actor, endpoint });
    for (const match of report.matches) {
      this.#note(match.publisher, match);
      this.#note(match.subscriber, match);
    }
  }

  write(depth: number): void {
    const { actors, turns, outstanding } = this.#report;
    this.#line(
      depth,
      `space: ${count(actors.length, 'actor')}, ${count(turns, 'turn')}, ${some(outstanding)} outstanding`,
    );
    for (const actor of actors) this.#actor(depth + 1, actor);
  }

  #note(endpoint: EndpointId, match: MatchReport): void {
    const known = this.#meets.get(endpoint);
    if (known === undefined) this.#meets.set(endpoint, [match]);
    else known.push(match);
  }

  #line(depth: number, text: string): void {
    this.#out.push(`${'  '.repeat(depth)}${text}`);
  }

  #actor(depth: number, actor: ActorReport): void {
    const { linkedTo, queued, outstanding, endpoints, space } = actor;
    const link = linkedTo === undefined ? '' : `, linked to ${linkedTo}`;
    this.#line(depth, `${called(actor)}${link}: ${some(queued)} queued, ${some(outstanding)} outstanding`);
    for (const endpoint of endpoints) this.#endpoint(depth + 1, endpoint);
    if (space !== undefined) new SpaceWriter(this.#out, space, this.#limit, this.#peers).write(depth + 1);
  }

  #endpoint(depth: number, endpoint: EndpointReport): void {
    const { id, name, orientation, interest, topic } = endpoint;
    const how = interest === 'participant' ? '' : ` (${interest})`;
    const as = name === undefined ? '' : ` ${formatTopic(name)}`;
    const own = formatTopic(topic, { limit: this.#limit });
    this.#line(depth, `${orientation} ${id}${as}${how} ${own}`);
    const matches = this.#meets.get(id) ?? [];
    for (const match of matches.slice(0, this.#peers)) this.#match(depth + 1, endpoint, own, match);
    if (matches.length > this.#peers) this.#line(depth + 1, `meets ${matches.length - this.#peers} more`);
  }

  #match(
    depth: number,
    { orientation }: EndpointReport,
    own: string,
    { publisher, subscriber, topic }: MatchReport,
  ): void {
    const peer = orientation === 'publisher' ? subscriber : publisher;
    const owner = this.#owners.get(peer);
    if (owner === undefined) return;
    const common = formatTopic(topic, { limit: this.#limit });
    const where = common === own ? '' : ` in ${common}`;
    this.#line(depth, `meets ${owner.endpoint.orientation} ${peer} of ${called(owner.actor)}${where}`);
  }
}

function called({ id, name }: ActorReport): string {
  return name === undefined ? `actor ${id}` : `actor ${id} ${formatTopic(name)}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function some(number: number): string {
  return number === 0 ? 'nothing' : String(number);
}

import { record } from '../../src/dataspace/record.ts';
import type { RecordMaker } from '../../src/dataspace/record.ts';
import type { AbsenceEvent, PresenceEvent } from '../../src/dataspace/endpoint.ts';
import type { ActorEnd } from '../../src/dataspace/kernel-settings.ts';
import type { Boot } from '../../src/dataspace/self.ts';
import { Dataspace } from '../../src/dataspace/space.ts';
import type { Topic } from '../../src/dataspace/topic-types.ts';

export const says: RecordMaker<'says', readonly ['who', 'what'], { who: string; what: string }> = record('says', [
  'who',
  'what',
]).of();
export const room: RecordMaker<'room', readonly ['name'], { name: string }> = record('room', ['name']).of();

/** A space, what was told in it, and who ended and why. */
export class Stage {
  readonly told: string[] = [];
  readonly ends: ActorEnd[] = [];
  readonly space: Dataspace = new Dataspace({ onActorEnd: (end) => this.ends.push(end) });

  /** Tells of peers, and of messages where the topic is one of `says`. */
  watch(name: string): {
    onPresence(event: PresenceEvent<Topic>): void;
    onAbsence(event: AbsenceEvent<Topic>): void;
    onMessage(event: { readonly topic: Topic }): void;
  } {
    return {
      onPresence: () => void this.told.push(`${name}: present`),
      onAbsence: ({ reason }) => {
        const detail = 'detail' in reason && typeof reason.detail === 'string' ? ` ${reason.detail}` : '';
        this.told.push(`${name}: absent, ${reason.kind}${detail}`);
      },
      onMessage: ({ topic }) => void this.told.push(`${name}: ${says.is(topic) ? topic.what : '?'}`),
    };
  }

  /** Runs the space with the actors, the last of which may be slow. */
  async run(...boots: Boot[]): Promise<string[]> {
    for (const boot of boots) this.space.spawn(boot);
    await this.space.run();
    return this.told;
  }
}

/** A round of the event loop. */
export const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// Shouts back what its terminal says until that ends or somebody says "quit". Run by event-terminal.test.ts.
import { createInterface } from 'node:readline';
import { eventDriver } from '../../src/dataspace/drivers/event-driver.ts';
import { sourceEvent } from '../../src/dataspace/drivers/event-topics.ts';
import { _ } from '../../src/dataspace/hole.ts';
import { Dataspace } from '../../src/dataspace/space.ts';

const space = new Dataspace();
space.spawn(eventDriver({ terminal: () => createInterface({ input: process.stdin }) }));
space.spawn((self) => {
  self.subscribe(sourceEvent('terminal', _), {
    onPresence: () => void process.stdout.write('ready\n'),
    onMessage: ({ topic }) => {
      const line = topic.value as string;
      if (line === 'quit') self.quit();
      else process.stdout.write(`${line.toUpperCase()}\n`);
    },
    onAbsence: ({ reason }) => {
      process.stdout.write(`the end, ${reason.kind}\n`);
      self.quit();
    },
  });
});
const { failed } = await space.run();
// Lets go of the terminal, so that the process can end.
space.end();
process.stdout.write(`over, ${failed} failed\n`);

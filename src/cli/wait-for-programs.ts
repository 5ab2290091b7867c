import type { ExecHandler } from './exec-handler.ts';
import { killAll } from './process-group.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Milliseconds in which a signal is the one that ended the server, come once more by npm. */
const SAME = 500;

/** Waits until the programs of a server that has stopped have ended too. A signal kills them meanwhile. */
export async function waitForPrograms(handler: ExecHandler, warn: (text: string) => void): Promise<void> {
  const { running } = handler;
  if (running === 0) return;
  const began = performance.now();
  const listener = (): void => {
    if (performance.now() - began >= SAME) killAll();
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  warn(`waiting for ${running} ${running === 1 ? 'program' : 'programs'} to end; once more kills what is left`);
  try {
    await handler.idle();
  } finally {
    for (const signal of SIGNALS) process.off(signal, listener);
  }
}

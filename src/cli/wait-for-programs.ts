import type { ExecHandler } from './exec-handler.ts';
import { killAll } from './process-group.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Milliseconds in which a signal is the one that ended the server, come once more by npm. */
const SAME = 500;
/** Milliseconds that go by before it is said that somebody is waited for: most are just ending. */
const SILENT = 50;

/** Waits until the programs of a server that has stopped have ended too. A signal kills them meanwhile. */
export async function waitForPrograms(handler: ExecHandler, warn: (text: string) => void): Promise<void> {
  if (handler.running === 0) return;
  const began = performance.now();
  const listener = (): void => {
    if (performance.now() - began >= SAME) killAll();
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  const timer = setTimeout(() => {
    const { running } = handler;
    warn(`waiting for ${running} ${running === 1 ? 'program' : 'programs'} to end; once more kills what is left`);
  }, SILENT);
  try {
    await handler.idle();
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, listener);
  }
}

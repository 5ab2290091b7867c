import { execFileSync } from 'node:child_process';

/** Whether a process runs. One that has ended and that nobody waited for does not. */
export function isAlive(pid: number): boolean {
  try {
    const state = execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return state !== '' && !state.startsWith('Z');
  } catch {
    // ps fails when there is none to show.
    return false;
  }
}

/** Waits until a process that is not ours to wait for has ended; the runner's time limit ends it. */
export async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
}

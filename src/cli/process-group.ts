import { systemCode } from '../base/errors.ts';

/** A process that leads a group of its own, or on Windows one that stands alone. */
export interface Group {
  readonly pid: number;
  /** Whether the leader has ended and was waited for. */
  readonly exited: boolean;
  /** Called while this process ends: nothing can be waited for any more. */
  abandon(): void;
}

const grouped = process.platform !== 'win32';

/** Sends a signal to all of a group. Gives the error when the system refuses, null when that is well or nobody is left. */
export function signalGroup(group: Group, signal: NodeJS.Signals): unknown {
  if (isStranger(group)) return null;
  try {
    process.kill(grouped ? -group.pid : group.pid, signal);
    return null;
  } catch (error) {
    return systemCode(error) === 'ESRCH' ? null : error;
  }
}

/** Whether somebody of the group is left who can be reached. A process that has ended counts until it is waited for. */
export function exists(group: Group): boolean {
  if (isStranger(group)) return false;
  try {
    process.kill(grouped ? -group.pid : group.pid, 0);
    return true;
  } catch {
    // ESRCH: nobody is left. EPERM: nobody who could be reached.
    return false;
  }
}

/** While a group has members its number is given to nobody else; when a process has it after the leader's end, the group is gone and the number is a stranger's. */
function isStranger({ pid, exited }: Group): boolean {
  if (!exited) return false;
  if (!grouped) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== 'ESRCH';
  }
}

const groups = new Set<Group>();

function abandonAll(): void {
  for (const group of groups) group.abandon();
}

/** Kills every group that would be abandoned at the end of this process. */
export function killAll(): void {
  for (const group of groups) signalGroup(group, 'SIGKILL');
}

/** Has the group abandoned when this process ends before it does. Returns how to take that back. */
export function abandonAtExit(group: Group): () => void {
  if (groups.size === 0) process.on('exit', abandonAll);
  groups.add(group);
  return () => {
    groups.delete(group);
    if (groups.size === 0) process.off('exit', abandonAll);
  };
}

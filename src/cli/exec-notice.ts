import { firstLine } from './load-module.ts';
import { formatDuration } from './durations.ts';
import type { ProgramNotice } from './running-program.ts';

/** A program that did not end well, in a line: `date (4711) for 127.0.0.1:50123 ended with exit code 1`. */
export function describeNotice(notice: ProgramNotice, program: string, client: string): string {
  return `${program} (${notice.pid}) for ${client} ${what(notice)}`;
}

function what(notice: ProgramNotice): string {
  switch (notice.kind) {
    case 'failed':
      return `ended with exit code ${notice.code}`;
    case 'crashed':
      return `died by ${notice.signal}`;
    case 'outlived':
      return `still ran ${formatDuration(notice.after)} after its connection had ended, and was sent SIGTERM`;
    case 'left-open':
      return `ended, and left somebody behind who wrote nothing for ${formatDuration(notice.after)}, and was sent SIGTERM`;
    case 'killed':
      return `did not end within ${formatDuration(notice.after)} of SIGTERM, and was killed`;
    case 'out-of-reach':
      return `can't be ended: ${firstLine(notice.error)}`;
  }
}

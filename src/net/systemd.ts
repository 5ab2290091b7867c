import { PortsideError } from '../base/errors.ts';

/** The first descriptor that systemd passes (sd_listen_fds(3), SD_LISTEN_FDS_START). */
const FIRST = 3;

/**
 * The descriptor of a socket that systemd passed to this process under a name (`FileDescriptorName=`), by the
 * environment variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES (sd_listen_fds_with_names(3)).
 * ERR_PORTSIDE_ENDPOINT when there is none of the name, with the names that there are.
 */
export function systemdDescriptor(
  name: string,
  env: NodeJS.ProcessEnv = process.env,
  pid: number = process.pid,
): number {
  const count = Number(env['LISTEN_FDS'] ?? 0);
  const passed = Number(env['LISTEN_PID']) === pid && Number.isInteger(count) && count > 0;
  if (!passed) {
    throw new PortsideError(
      'ERR_PORTSIDE_ENDPOINT',
      `systemd passed no sockets to this process, so systemd://${name} can't be had; start it from a unit with a .socket`,
      { op: 'listen', local: `systemd://${name}` },
    );
  }
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  for (let i = 0; i < count; i += 1) if ((names[i] ?? 'unknown') === name) return FIRST + i;
  throw new PortsideError(
    'ERR_PORTSIDE_ENDPOINT',
    `systemd passed no socket with the name "${name}"; it passed: ${names.slice(0, count).join(', ')}`,
    { op: 'listen', local: `systemd://${name}` },
  );
}

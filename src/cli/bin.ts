#!/usr/bin/env node
// Nothing but this file may be parsed before the check: an old Node would stop at syntax or
// built-ins that it lacks, with words that help nobody.
import process from 'node:process';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const supported = major >= 26 || (major === 24 && minor >= 11) || (major === 22 && minor >= 18);

if (supported) {
  const { processIo } = await import('./io.ts');
  const args = process.argv.slice(2);
  const { isForSupervisor } = await import('./upgrade/is-upgradable.ts');
  // It stays small: the program below it loads the rest.
  const main = isForSupervisor(args, process.env)
    ? (await import('./upgrade/supervisor.ts')).supervise
    : (await import('./main.ts')).main;
  // Whoever read what it says may go, or the terminal; its clients stay.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  process.exitCode = await main(args, processIo);
  // A Ctrl-C comes twice when npm passes it on, and must not make a failure of an end that was in order.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  // What a module left open, a timer or a pool, does not keep a server that has stopped.
  setTimeout(() => process.exit(), 1_000).unref();
} else {
  process.stderr.write(
    `portside: this is Node.js ${process.versions.node}, and portside needs 22.18 or later, 24.11 or later, or 26 or later; install one of them.\n`,
  );
  process.exitCode = 1;
}

import type { TestContext } from 'node:test';
import { startPortside } from '../support/program.ts';
import type { Program } from '../support/program.ts';

/** The command, with its port or endpoints among the arguments, when it is ready; its ports are told in their order. */
export async function startWith(
  t: TestContext,
  args: readonly string[],
  places = 1,
): Promise<{ server: Program; ports: readonly number[]; port: number }> {
  const server = startPortside(t, args);
  const line = String.raw`^portside: .* on 127\.0\.0\.1:(\d+)(?:; .*)?\n`;
  await server.until(new RegExp(`(?:${line}[^]*){${places}}`, 'mu'));
  const ports = [...server.out.matchAll(new RegExp(line, 'gmu'))].map(([, port]) => Number(port));
  const [port] = ports;
  if (port === undefined) throw new Error(`no port: ${server.out}`);
  return { server, ports, port };
}

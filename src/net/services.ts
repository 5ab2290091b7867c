import { readFileSync } from 'node:fs';

/** What the transport of a service is; the same name may have a port in each. */
export type ServiceProtocol = 'tcp' | 'udp';

const FILE =
  process.platform === 'win32'
    ? `${process.env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\drivers\\etc\\services`
    : '/etc/services';

/** For machines without the file (slim containers); IANA's numbers. `both` stands for TCP and UDP. */
const BUILT_IN = `
echo 7/both
discard 9/both
daytime 13/both
chargen 19/both
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp
time 37/both
domain 53/both
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp www
pop3 110/tcp
ntp 123/udp
imap2 143/tcp imap
snmp 161/udp
irc 194/tcp
ldap 389/tcp
https 443/both
submissions 465/tcp smtps
syslog 514/udp
submission 587/tcp
ldaps 636/tcp
domain-s 853/both
imaps 993/tcp
pop3s 995/tcp
socks 1080/tcp
mqtt 1883/tcp
nfs 2049/tcp
mysql 3306/tcp
stun 3478/both
svn 3690/tcp
postgresql 5432/tcp
amqp 5672/tcp
redis 6379/tcp
mqtts 8883/tcp secure-mqtt
memcached 11211/tcp
`;

/**
 * Reads a table in the format of services(5): `name port/protocol alias… # comment`.
 * Gives a map from `name/tcp` or `name/udp`, in lower case, to the port. The first entry of a name
 * counts, as with getservbyname(3); lines that do not follow the format are passed over.
 */
export function parseServices(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, where, ...aliases] = line.replace(/#.*$/u, '').trim().split(/\s+/u);
    const match = /^(\d{1,5})\/(tcp|udp|both)$/u.exec(where ?? '');
    if (name === undefined || match === null) continue;
    const port = Number(match[1]);
    if (port < 1 || port > 65_535) continue;
    for (const protocol of match[2] === 'both' ? ['tcp', 'udp'] : [match[2] ?? '']) {
      for (const word of [name, ...aliases]) {
        const key = `${word.toLowerCase()}/${protocol}`;
        if (!ports.has(key)) ports.set(key, port);
      }
    }
  }
  return ports;
}

let table: Map<string, number> | undefined;

function services(): Map<string, number> {
  if (table !== undefined) return table;
  let text = '';
  try {
    text = readFileSync(FILE, 'utf8');
  } catch {
    // Many machines have no such file, or none that we may read: the built-in table is there for them.
  }
  table = parseServices(`${text}\n${BUILT_IN}`);
  return table;
}

/**
 * The port of a service by its name or an alias (`smtp` → 25), or undefined when nobody knows it.
 * Reads `/etc/services` once, when first asked; what that lacks comes from a small built-in table.
 * Upper and lower case are the same.
 */
export function servicePort(name: string, protocol: ServiceProtocol): number | undefined {
  return services().get(`${name.toLowerCase()}/${protocol}`);
}

/** The names that {@link servicePort} knows for a protocol, aliases included. */
export function serviceNames(protocol: ServiceProtocol): string[] {
  const names: string[] = [];
  for (const key of services().keys()) {
    if (key.endsWith(`/${protocol}`)) names.push(key.slice(0, -protocol.length - 1));
  }
  return names;
}

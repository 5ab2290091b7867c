import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A certificate and its key as PEM text. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Certificates for tests, as PEM text, with keys on P-256. All but `strangerClient` come from `ca`, or from what it signed. */
export interface Certificates {
  /** The authority, good for servers and clients. */
  readonly ca: string;
  /** Another one, which nobody here trusts. */
  readonly strangerCa: string;
  /** For localhost, 127.0.0.1, ::1 and a.example.org. */
  readonly server: Pair;
  /** The same names as `server`, another key. */
  readonly renewed: Pair;
  /** For other.example.org. */
  readonly other: Pair;
  /** For *.wild.example.org. */
  readonly wildcard: Pair;
  /** For localhost, with the certificate of an authority between behind its own. */
  readonly chained: Pair;
  /** A client called alice. */
  readonly client: Pair;
  /** A client called mallory, from `strangerCa`. */
  readonly strangerClient: Pair;
  /** As `server`, until 2021. */
  readonly expired: Pair;
  /** As `server`, from 2090 on. */
  readonly future: Pair;
  /** `server` with its key encrypted by the passphrase `secret`. */
  readonly encrypted: Pair;
}

const CONFIG = `
[ca]
default_ca = it
[it]
dir = .
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:false
`;

const NAMES = 'DNS:localhost, IP:127.0.0.1, IP:::1, DNS:a.example.org';

class Authority {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    writeFileSync(this.#path('config'), CONFIG);
    writeFileSync(this.#path('index'), '');
  }

  root(name: string): string {
    this.#openssl('req', '-x509', ...this.#fresh(name, name), '-days', '3650', '-extensions', 'root');
    return this.#read(`${name}.pem`);
  }

  sign(name: string, issuer: string, names: string | null, dates?: readonly [string, string], kind = 'leaf'): Pair {
    const extensions = names === null ? [] : ['-addext', `subjectAltName=${names}`];
    this.#openssl('req', '-new', ...this.#fresh(name, names === null ? name : 'server'), ...extensions);
    const [from, to] = dates ?? ['20250101000000Z', '20891231000000Z'];
    const signed = [
      '-in',
      `${name}.pem`,
      '-out',
      `${name}.crt`,
      '-startdate',
      from,
      '-enddate',
      to,
      '-extensions',
      kind,
    ];
    this.#openssl(
      'ca',
      '-batch',
      '-notext',
      '-config',
      'config',
      '-cert',
      `${issuer}.pem`,
      '-keyfile',
      `${issuer}.key`,
      ...signed,
    );
    // An issuer is looked up by the name of its certificate.
    writeFileSync(this.#path(`${name}.pem`), this.#read(`${name}.crt`));
    return { cert: this.#read(`${name}.crt`), key: this.#read(`${name}.key`) };
  }

  encrypted(name: string, passphrase: string): string {
    this.#openssl('pkcs8', '-topk8', '-in', `${name}.key`, '-out', `${name}.enc`, '-passout', `pass:${passphrase}`);
    return this.#read(`${name}.enc`);
  }

  #fresh(name: string, subject: string): string[] {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
    return ['-config', 'config', '-subj', `/CN=${subject}`, ...key, '-out', `${name}.pem`];
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #read(name: string): string {
    return readFileSync(this.#path(name), 'utf8');
  }
}

let made: Certificates | undefined;

/** Certificates made with the `openssl` command, once per process. */
export function certificates(): Certificates {
  made ??= make();
  return made;
}

function make(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'portside-ca-'));
  try {
    const authority = new Authority(folder);
    const ca = authority.root('ca');
    const strangerCa = authority.root('stranger');
    const between = authority.sign('between', 'ca', null, undefined, 'root');
    const leaf = authority.sign('chained', 'between', 'DNS:localhost');
    const server = authority.sign('server', 'ca', NAMES);
    return {
      ca,
      strangerCa,
      server,
      renewed: authority.sign('renewed', 'ca', NAMES),
      other: authority.sign('other', 'ca', 'DNS:other.example.org'),
      wildcard: authority.sign('wildcard', 'ca', 'DNS:*.wild.example.org'),
      chained: { cert: leaf.cert + between.cert, key: leaf.key },
      client: authority.sign('alice', 'ca', null),
      strangerClient: authority.sign('mallory', 'stranger', null),
      expired: authority.sign('expired', 'ca', NAMES, ['20200101000000Z', '20210101000000Z']),
      future: authority.sign('future', 'ca', NAMES, ['20900101000000Z', '20990101000000Z']),
      encrypted: { cert: server.cert, key: authority.encrypted('server', 'secret') },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The paths of files that hold {@link Certificates}. */
export type CertificateFiles = { readonly [K in keyof Certificates]: Certificates[K] } & { readonly folder: string };

/** Writes them as files, `server.cert.pem` and so on, into a folder that goes when the test is over; what is PEM text there is a path here. */
export function files(t: TestContext): CertificateFiles {
  const folder = mkdtempSync(join(tmpdir(), 'portside-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(folder, { recursive: true });
  const write = (name: string, text: string): string => {
    const path = join(folder, `${name}.pem`);
    writeFileSync(path, text);
    return path;
  };
  const paths = Object.entries(certificates()).map(([name, value]: [string, string | Pair]) => [
    name,
    typeof value === 'string'
      ? write(name, value)
      : { cert: write(`${name}.cert`, value.cert), key: write(`${name}.key`, value.key) },
  ]);
  return { ...(Object.fromEntries(paths) as Certificates), folder };
}

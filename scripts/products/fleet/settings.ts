/** Reads fleet.yaml in the ops folder: the broker, the signing key, and the folders of releases and enrolment. */
import type { KeyObject } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { AgentError } from '../../../agent/base/errors.ts';
import { StateLock } from '../../../agent/base/state-lock.ts';
import { signingKey as privateKey } from '../../../agent/cli/signing-key.ts';
import type { MqttConfig } from '../../../agent/contract/config.ts';
import { readYaml } from './strict-yaml.ts';

export const FLEET_DIR = 'fleet';
const FLEET_FILE = 'fleet.yaml';
/**
 * Default maximum of boxes. With four retained messages each, that is 40,000 at the broker: more than any room has had,
 * and little memory.
 */
const BOXES_DEFAULT = 10_000;

const strict = { additionalProperties: false } as const;
const Path = (description: string) => Type.String({ minLength: 1, maxLength: 4096, description });

const FleetYaml = Type.Object(
  {
    mqtt: Type.Object(
      {
        url: Type.String({
          pattern: '^mqtts?://',
          description: 'mqtts://host:port of the room’s broker (plain mqtt:// for one on this machine)',
        }),
        ca: Type.Optional(Path('PEM file of the authority of the broker')),
        certificates: Type.Optional(
          Type.Array(Type.String({ pattern: '\\.crt$', maxLength: 4096 }), {
            minItems: 1,
            maxItems: 32,
            description:
              'PEM files of certificates fleet.NAME, each beside its key; a command that runs takes a free one',
          }),
        ),
      },
      strict,
    ),
    sign: Path(
      'PEM file of the ed25519 key that signs orders and commands (`vigie-oversight keygen` makes one)',
    ),
    repository: Type.Optional(Path('folder of the releases: metadata/ and targets/')),
    enrolment: Type.Optional(Path('folder of `scripts/room enrol`')),
    boxes: Type.Integer({
      default: BOXES_DEFAULT,
      minimum: 1,
      maximum: 1_000_000,
      description: 'largest number of boxes of the fleet, from which the limit on retained messages follows',
    }),
    metricsFile: Type.Optional(
      Path('file for node_exporter’s textfile collector, of how far the rollout is'),
    ),
    timeZone: Type.String({
      default: 'Europe/Paris',
      minLength: 1,
      maxLength: 64,
      description: 'IANA name of the time zone of windows',
    }),
  },
  strict,
);

export interface Fleet {
  readonly dir: string;
  /** Takes a certificate for this process. Throws AgentError `denied` if others use all. */
  readonly mqtt: MqttConfig;
  /** PEM file, read only by `signingKey`, so that read-only commands need no key. */
  readonly sign: string;
  readonly repository: string | undefined;
  readonly enrolment: string | undefined;
  /** Maximum number of boxes. */
  readonly boxes: number;
  /** File that a rollout writes its metrics to. */
  readonly metricsFile: string | undefined;
  readonly timeZone: string;
}

/**
 * Reads fleet.yaml; paths are relative to the folder. Throws AgentError `config` with a line for each validation error.
 */
export function readFleet(dir: string): Fleet {
  const file = join(dir, FLEET_FILE);
  if (!existsSync(file)) {
    throw new AgentError(
      'config',
      `${file} does not exist; it names mqtt: {url, ca, certificates}, sign and repository (another folder: --dir)`,
    );
  }
  const fleet: Static<typeof FleetYaml> = readYaml(file, FleetYaml);
  const { mqtt, sign, repository, enrolment, boxes, metricsFile, timeZone } = fleet;
  const { url, ca, certificates } = mqtt;
  if (!URL.canParse(url) || (url.startsWith('mqtt:') && !/^mqtt:\/\/(localhost|127\.|\[::1\])/.test(url))) {
    throw new AgentError(
      'config',
      `${file}: mqtt.url must be mqtts://host:port (plain mqtt:// is for a broker on this machine only)`,
    );
  }
  const at = (path: string): string => resolve(dir, path);
  for (const [name, path] of [
    ['repository', repository],
    ['enrolment', enrolment],
  ] as const) {
    if (path !== undefined && statSync(at(path), { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new AgentError('config', `${file}: ${name}: ${at(path)} is not a folder`);
    }
  }
  checkTimeZone(file, timeZone);
  return {
    dir,
    get mqtt() {
      const cert = certificates && freeCertificate(file, certificates.map(at));
      return {
        url,
        ack: 'broker' as const,
        ...(ca !== undefined && { ca: at(ca) }),
        ...(cert !== undefined && { cert, key: cert.replace(/crt$/, 'key') }),
      };
    },
    sign: at(sign),
    repository: repository === undefined ? undefined : at(repository),
    enrolment: enrolment === undefined ? undefined : at(enrolment),
    boxes,
    metricsFile: metricsFile === undefined ? undefined : at(metricsFile),
    timeZone,
  };
}

/** Certificates that this process has taken, by the file that lists them. */
const ownCertificates = new Map<string, string>();

/**
 * Returns the certificate of this process, which it holds until it ends: the broker admits one connection of each.
 * Throws AgentError `denied` if other processes use all.
 */
function freeCertificate(file: string, certificates: readonly string[]): string {
  const own =
    ownCertificates.get(file) ??
    certificates.find((path) => !existsSync(path) || new StateLock(path).tryTake());
  if (own === undefined) {
    const fix = 'wait until one ends, or add another certificate (`room enrol program fleet NAME`)';
    throw new AgentError(
      'denied',
      `${file}: mqtt.certificates: other commands use all ${certificates.length}; ${fix}`,
    );
  }
  ownCertificates.set(file, own);
  return own;
}

/** Throws AgentError `config` if Intl does not know the time zone. */
export function checkTimeZone(file: string, timeZone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new AgentError('config', `${file}: the time zone ${timeZone} is not known; Europe/Paris is`, error);
  }
}

/** Reads the key for orders and commands. Throws AgentError `config`. */
export const signingKey = ({ sign }: Pick<Fleet, 'sign'>): KeyObject => privateKey(sign, 'fleet.yaml: sign');

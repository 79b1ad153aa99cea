/**
 * Reads a room's folder of a site and its boxes, and checks that its files may go onto a card:
 *
 *   SITE/authority.pub  SITE/ca.crt  [SITE/technician.pub]  [SITE/update.yaml SITE/update-root.json]
 *   SITE/boxes/BOX/vigie.yaml  authorisation.dsse.json  [installation.dsse.json]  [other files that vigie.yaml names]
 *
 * INVARIANTS: files are returned only if all of them are valid and for this box; never a private key.
 */
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { coverageReport, whyNothingRuns } from '../../../agent/cli/coverage.ts';
import { inspectConfig, problemText } from '../../../agent/config/load.ts';
import { configuredStream } from '../../../agent/contract/camera-address.ts';
import type { Config } from '../../../agent/contract/config.ts';
import { UPDATE_ROOT_FILE, UPDATE_SETTINGS_FILE } from '../../../agent/contract/update-settings.ts';
import { authorisationRefusal } from '../../../agent/orders/signed-authorisation.ts';
import type { BootFile } from './fat.ts';

/** Largest file that provisioning accepts (scripts/products/root/card/found-files.ts). */
const SMALL_BYTES_MAX = 256 * 1024;
/** Covers packages, but nothing that would make a card slow to write. */
const LARGE_BYTES_MAX = 256 * 1024 * 1024;
/** Folder on the box that receives the files which provisioning takes from the card. */
const ETC = '/etc/vigie/';
/** Files that are only ever created on the box. */
const MADE_ON_THE_BOX = [`${ETC}pki/box.crt`, `${ETC}pki/box.key`];
/** Recognises PEM (RFC 7468), with OpenSSH's and PGP's variants, and age's keys. */
const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|AGE-SECRET-KEY-1/;
/** OpenSSH, sshd(8), AUTHORIZED_KEYS FILE FORMAT; without options. */
const SSH_KEY = /^(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+(?: [\x20-\x7e]*)?$/;

export interface Site {
  readonly config: Config;
  /** Files for the boot partition. */
  readonly files: readonly BootFile[];
  /** Public keys of OpenSSH of users who may log in, one line each. */
  readonly technicians: readonly string[];
  /** Warnings for the user, with which he may continue. */
  readonly warnings: readonly string[];
}

/** @throws AgentError `config` with every error, one line each */
export function readSite(folder: string, box: string, nowMs: number): Site {
  const own = join(folder, 'boxes', box);
  if (statSync(own, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new AgentError('config', `${own}: no such folder; --site SITE --box BOX name SITE/boxes/BOX`);
  }
  const yaml = join(own, 'vigie.yaml');
  mustBeFile(yaml, 'the configuration of the box');
  // Checked as on the box. The files that it names have other places here, and are checked below.
  const { config, problems, warnings } = inspectConfig(yaml, { env: {}, mode: 'run', files: false });
  if (config === undefined) {
    throw new AgentError('config', problems.map((problem) => problemText(yaml, problem)).join('\n'));
  }
  if (config.box !== box) {
    throw new AgentError('config', `${yaml}: box is ${config.box}, but its folder and --box say ${box}`);
  }
  if (!/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(box)) {
    const message = 'is not a host name (RFC 1123: it begins and ends with a letter or digit)';
    throw new AgentError('config', `${yaml}: box ${box} ${message}; the phone would not find it`);
  }
  const places = placesOf(config, folder, own);
  const late = checkAuthorisation(config, places, nowMs);
  const usedNames = new Set(['vigie.yaml', ...[...places.values()].map((file) => basename(file))]);
  const files: BootFile[] = [
    { path: 'vigie/vigie.yaml', content: safeFile(yaml, SMALL_BYTES_MAX) },
    ...[...places].map(([place, file]) => ({
      path: `vigie/${place.slice(ETC.length)}`,
      content: safeFile(file, SMALL_BYTES_MAX),
    })),
    ...optional(own, 'installation.dsse.json'),
    ...ofUpdater(folder),
    ...otherFiles(own, usedNames),
  ];
  return {
    config,
    files,
    technicians: techniciansOf(join(folder, 'technician.pub')),
    warnings: [...late, ...warnings.map((warning) => problemText(yaml, warning))],
  };
}

/** Maps the paths below /etc/vigie that the configuration names to the files here. */
function placesOf(config: Config, folder: string, own: string): Map<string, string> {
  const { mqtt, authorisation, authorityKey } = config;
  const want = (key: string, value: string | undefined, right: string): void => {
    if (value === right) return;
    throw new AgentError(
      'config',
      `${own}/vigie.yaml: ${key} must be ${right}, the place of the card’s file`,
    );
  };
  if (mqtt === undefined || !mqtt.url.startsWith('mqtts://')) {
    throw new AgentError(
      'config',
      `${own}/vigie.yaml: mqtt.url must be mqtts://…; the card is for a real room`,
    );
  }
  want('mqtt.ca', mqtt.ca, `${ETC}pki/ca.crt`);
  want('mqtt.cert', mqtt.cert, `${ETC}pki/box.crt`);
  want('mqtt.key', mqtt.key, `${ETC}pki/box.key`);
  want('authorisation', authorisation, `${ETC}authorisation.dsse.json`);
  want('authorityKey', authorityKey, `${ETC}authority.pub`);
  const places = new Map<string, string>();
  for (const place of pathsIn(config)) {
    if (MADE_ON_THE_BOX.includes(place)) continue;
    const name = basename(place);
    const file = join(name === 'ca.crt' || name === 'authority.pub' ? folder : own, name);
    mustBeFile(file, `what vigie.yaml names as ${place}`);
    places.set(place, file);
  }
  const ca = join(folder, 'ca.crt');
  const text = safeFile(ca, SMALL_BYTES_MAX).toString();
  if (!isCertificate(text)) {
    throw new AgentError(
      'config',
      `${ca}: does not contain a certificate in PEM form; it must be that of the room’s authority`,
    );
  }
  return places;
}

function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return value.startsWith(ETC) ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return [...new Set(Object.values(value).flatMap(pathsIn))];
}

/** Checks that the authorisation is valid for this box. Returns a warning if it begins later. */
function checkAuthorisation(config: Config, places: ReadonlyMap<string, string>, nowMs: number): string[] {
  const [authorisation, authorityKey] = [config.authorisation, config.authorityKey].map((place) =>
    places.get(place ?? ''),
  );
  // `vigie check` would search the files at their places on the box.
  const boxConfig = { ...config, authorisation, authorityKey } as Config;
  const report = coverageReport(boxConfig);
  const { content } = report;
  if (content !== undefined && nowMs < Date.parse(content.notBefore)) {
    const place = { site: config.site, box: config.box, camera: configuredStream(config.camera?.source) };
    const refusal = authorisationRefusal(content, place, Date.parse(content.notBefore));
    if (refusal === undefined)
      return [`authorisation ${content.order} begins ${content.notBefore}; nothing runs before`];
  }
  if (report.problem === undefined && (config.rules.length === 0 || content?.installation === true)) {
    return [
      `nothing runs at first: ${whyNothingRuns(boxConfig, report) ?? ''}; zones and rules are for the technician`,
    ];
  }
  const idle = whyNothingRuns(boxConfig, report);
  if (idle !== undefined) throw new AgentError('config', `${authorisation ?? ''}: ${idle}`);
  return report.rules
    .filter(({ state }) => state === 'not covered')
    .map(({ rule, detail }) => `rule ${rule} is not covered and will not run: ${detail}`);
}

function optional(own: string, name: string): BootFile[] {
  const file = join(own, name);
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return [];
  return [{ path: `vigie/${name}`, content: safeFile(file, SMALL_BYTES_MAX) }];
}

/** Returns the files that name the source of the site's releases and the keys that its boxes trust at first. */
function ofUpdater(folder: string): BootFile[] {
  const names = [UPDATE_SETTINGS_FILE, UPDATE_ROOT_FILE];
  const files = names.flatMap((name) => optional(folder, name));
  if (files.length === 0 || files.length === names.length) return files;
  throw new AgentError('config', `${folder}: ${names.join(' and ')} go together; one of them is missing`);
}

/** Returns other files of the box's folder (a package, a clip). They go where provisioning does not look. */
function otherFiles(own: string, usedNames: ReadonlySet<string>): BootFile[] {
  return readdirSync(own, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .filter((name) => !usedNames.has(name) && name !== 'installation.dsse.json')
    .map((name) => {
      if (/^vigie.*\.(?:ya?ml|txt)$/i.test(name)) {
        throw new AgentError(
          'config',
          `${join(own, name)}: the box reads vigie.yaml alone; rename or remove it`,
        );
      }
      if (!/^[A-Za-z0-9._+~-]{1,100}$/.test(name)) {
        throw new AgentError('config', `${join(own, name)}: letters, digits and ._+~- only, for FAT`);
      }
      return { path: `vigie-files/${name}`, content: safeFile(join(own, name), LARGE_BYTES_MAX) };
    });
}

function techniciansOf(file: string): string[] {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return [];
  const lines = safeFile(file, SMALL_BYTES_MAX).toString().split('\n');
  const keys = lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
  if (keys.length > 0 && keys.every((key) => SSH_KEY.test(key))) return keys;
  throw new AgentError('config', `${file}: must hold public keys of OpenSSH, one a line (ssh-ed25519 …)`);
}

/** @throws AgentError `config` if it is too large or holds a private key */
function safeFile(file: string, bytesMax: number): Buffer {
  mustBeFile(file, 'a file for the card');
  const { size } = statSync(file);
  if (size > bytesMax) throw new AgentError('config', `${file}: ${size} bytes; at most ${bytesMax}`);
  const content = readFileSync(file);
  if (PRIVATE_KEY.test(content.toString('latin1'))) {
    const message =
      'holds a private key; no key goes onto a card, the box makes its own. Take it out of the folder';
    throw new AgentError('config', `${file}: ${message}`);
  }
  return content;
}

function mustBeFile(file: string, description: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return;
  throw new AgentError('config', `${file}: no such file; it is ${description}`);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).ca;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return false;
  }
}

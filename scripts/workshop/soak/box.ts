/** Configuration and program of a soak's box, with every stage at work. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../agent/config/load.ts';
import type { KeyPair } from '../../lib/certificates.ts';
import { ownAuthorisation } from '../../lib/own-authorisation.ts';

export const SITE = 'soak';
export const BOX = 'soak-1';

export interface BoxOptions {
  /** Folder for configuration and state. */
  readonly dir: string;
  readonly source: string;
  /** Value of `camera.substream`. */
  readonly substream?: string | undefined;
  readonly fps: number;
  readonly broker: string;
  readonly ca: string;
  readonly pair: KeyPair;
  readonly metricsPort: number;
}

export interface BoxCommand {
  readonly command: readonly string[];
  readonly stateDir: string;
  /** Environment in addition to the program's own. */
  readonly environment: NodeJS.ProcessEnv;
}

/** Writes the files that the agent needs to run; returns the command to start it. */
export function soakBox(options: BoxOptions): BoxCommand {
  const { dir, source, substream, fps, broker, ca, pair, metricsPort } = options;
  const config = join(dir, 'soak.yaml');
  const stateDir = join(dir, 'state');
  const groundPolygon = [
    [0, 0.3],
    [1, 0.3],
    [1, 1],
    [0, 1],
  ];
  const purpose = 'soak';
  const content = {
    site: SITE,
    box: BOX,
    camera: { source, substream, fps },
    zones: [{ id: 'ground', polygon: groundPolygon }],
    lines: [{ id: 'across', from: [0.5, 0.2], to: [0.5, 1] }],
    masks: [{ id: 'corner', polygon: [groundPolygon[0], [0.1, 0.3], [0.1, 0.4], [0, 0.4]] }],
    alertsPerHour: 3600,
    rules: [
      { id: 'pass', kind: 'line-crossing', line: 'across', purpose },
      { id: 'stay', kind: 'loitering', zone: 'ground', afterS: 5, purpose },
      { id: 'crowd', kind: 'crowd-gathering', zone: 'ground', minCount: 3, afterS: 5, purpose },
      { id: 'parked', kind: 'illegal-parking', zone: 'ground', afterS: 10, purpose },
      { id: 'left', kind: 'illegal-dumping', zone: 'ground', purpose },
    ],
    mqtt: { url: broker, ca, cert: pair.cert, key: pair.key, ack: 'archive' },
    metrics: { port: metricsPort },
  };
  // JSON is YAML too.
  writeFileSync(config, JSON.stringify(content, null, 2));
  const environment = ownAuthorisation(
    loadConfig(config, { env: {}, mode: 'run', files: false }),
    source,
    dir,
    'soak',
  );
  const program = fileURLToPath(new URL('../../../agent/cli/main.js', import.meta.url));
  // The program itself, not through this node: its first line carries the flags that users run it with.
  return {
    environment,
    command: [program, 'run', '--config', config, '--state', stateDir, '--log', 'info'],
    stateDir,
  };
}

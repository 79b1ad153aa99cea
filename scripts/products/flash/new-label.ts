/** `flash label`: makes a new setup code for a box whose label is lost, and its label. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { makeSetupCode, SETUP_CODE_FILE } from '../../../agent/contract/setup-code.ts';
import { setupCodeFile } from './boot-files.ts';
import type { Surroundings } from './card.ts';
import { fingerprintOf, writeLabel } from './label.ts';
import { readSite } from './site.ts';

export interface LabelOptions {
  readonly site: string;
  readonly box: string;
  readonly codeOut: string;
  readonly pageFingerprint?: string;
}

/** @throws AgentError with one clear line, or every error of the configuration */
export async function newLabel(options: LabelOptions, { say }: Pick<Surroundings, 'say'>): Promise<void> {
  const { site, box, codeOut: dir } = options;
  const fingerprint = options.pageFingerprint && fingerprintOf(options.pageFingerprint);
  const { config } = readSite(site, box, Date.now());
  const setupCode = makeSetupCode();
  mkdirSync(dir, { recursive: true });
  const written = await writeLabel(
    { site: config.site, box, setupCode, pageFingerprint: fingerprint || undefined },
    dir,
  );
  const file = join(dir, SETUP_CODE_FILE);
  writeAtomically(file, setupCodeFile(setupCode, new Date()).content, 0o600);
  say(`label: ${written.join(', ')} (they hold the code; print them and delete them)`);
  say(
    `${file}: put it into the folder vigie of the box’s boot partition; the box takes it at its next start`,
  );
}

/** `release.js DIR ARCH SEQ` makes a folder of files into a release: says in VERSION which one it is, and lists it in MANIFEST. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { programVersion } from '../../../agent/base/package-root.ts';
import { MANIFEST_FILE, ReleaseVersion, STATE_FORM, VERSION_FILE } from '../../../agent/contract/release.ts';
import { manifestText, scanTree } from '../../lib/manifest.ts';

const [dir, arch, seq] = process.argv.slice(2);
const version = {
  seq: Number(seq),
  version: programVersion(),
  arch,
  stateWrites: STATE_FORM.writes,
  stateReads: STATE_FORM.reads,
};
if (dir === undefined || !Value.Check(ReleaseVersion, version)) {
  process.stderr.write('release: give a folder, amd64 or arm64, and a number from 1 on\n');
  process.exit(2);
}
writeFileSync(join(dir, VERSION_FILE), `${JSON.stringify(version)}\n`, { mode: 0o644 });
writeFileSync(join(dir, MANIFEST_FILE), manifestText(await scanTree(dir)), { mode: 0o644 });

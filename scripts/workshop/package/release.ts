/**
 * `release.js DIR ARCH SEQ` turns a folder of files into a release: writes its identity to VERSION and its file list to
 * MANIFEST. With `all` for ARCH it is a release of root's program, which is the same for every architecture.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { programVersion } from '../../../agent/base/package-root.ts';
import {
  MANIFEST_FILE,
  RECORD_FORM,
  ReleaseVersion,
  STATE_FORM,
  VERSION_FILE,
} from '../../../agent/contract/release.ts';
import { manifestText, scanTree } from '../../lib/manifest.ts';

const [dir, arch, seq] = process.argv.slice(2);
const isRoot = arch === 'all';
const form = isRoot ? RECORD_FORM : STATE_FORM;
const version = {
  what: isRoot ? 'root' : 'release',
  seq: Number(seq),
  version: programVersion(),
  ...(!isRoot && { arch }),
  stateWrites: form.writes,
  stateReads: form.reads,
};
if (dir === undefined || !Value.Check(ReleaseVersion, version)) {
  process.stderr.write('release: give a folder, amd64, arm64 or all, and a number from 1 on\n');
  process.exit(2);
}
writeFileSync(join(dir, VERSION_FILE), `${JSON.stringify(version)}\n`, { mode: 0o644 });
writeFileSync(join(dir, MANIFEST_FILE), manifestText(await scanTree(dir)), { mode: 0o644 });

/**
 * Tests that files which no compiler checks name every kind: scenes, guides and alert rules. It also tests that every
 * listed condition is raised.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { COMMAND_OPS } from '../../agent/contract/command.ts';
import { CONDITION_KINDS, type ConditionKind } from '../../agent/contract/condition.ts';
import { RULE_KINDS } from '../../agent/contract/rule-config.ts';
import { ROOT } from '../lib/paths.ts';
import { BUSY_SCENE, STREET_SCENES } from '../scenes/street/catalogue.ts';

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** Names in the first column of a table. */
function firstColumn(file: string): string[] {
  const rows = read(file)
    .split('\n')
    .filter((line) => line.startsWith('| '));
  return rows.flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/[a-z]+(?:-[a-z]+)*/g)].map(String));
}

function missingKinds<K extends string>(all: readonly K[], names: readonly string[]): K[] {
  return all.filter((kind) => !names.includes(kind));
}

void t.test('each kind of rule has scenes, and the busy street has all of them', async (t) => {
  const scenes = STREET_SCENES.map(({ rule }) => rule.kind);
  t.same(missingKinds(RULE_KINDS, scenes), []);
  t.same(
    missingKinds(
      RULE_KINDS,
      [BUSY_SCENE.rule, ...(BUSY_SCENE.extraRules ?? [])].map(({ kind }) => kind),
    ),
    [],
  );
});

void t.test('each kind of rule is in the guides', async (t) => {
  for (const file of ['docs/guide/legal.md', 'docs/guide/bridges.md'])
    t.same(missingKinds(RULE_KINDS, firstColumn(file)), [], file);
  const [, list = ''] = /^Rules: ([^;]*);/m.exec(read('README.md')) ?? [];
  const names = [...list.matchAll(/`([a-z-]+)`/g)].map(([, kind = '']) => kind);
  t.same(names.sort(), [...RULE_KINDS].sort(), 'README.md');
});

void t.test('each command is in the table of what a key may sign', async (t) => {
  t.same(missingKinds(COMMAND_OPS, firstColumn('docs/guide/authorisation.md')), []);
});

/**
 * Conditions that no alert rule names: the rule that detects the same by another metric, or null where no alert is
 * needed.
 */
const ALERTED_OTHERWISE: Partial<Readonly<Record<ConditionKind, string | null>>> = {
  'alert-limit': null,
  suspended: 'VigieBoxSuspended',
  unauthorised: 'VigieBoxUnauthorised',
  'stream-lost': 'VigieBoxNotWatching',
  preview: null,
  'load-shed': null,
  'certificate-expiring': 'VigieBoxCertificateEnds7d',
  'authorisation-expiring': 'VigieBoxOrderEnds7d',
  'high-false-alarm-rate': null,
  installed: null,
  'config-changed': null,
  'mask-removed': null,
  'update-failed': 'VigieBoxUpdateFailed',
};

void t.test('each condition has an alert rule, or is listed as one that needs none of its own', async (t) => {
  const rules = read('docs/guide/prometheus-fleet-rules.yaml');
  const alerted = [...rules.matchAll(/condition=~?"([^"]+)"/g)].flatMap(([, kinds = '']) => kinds.split('|'));
  t.same(missingKinds(CONDITION_KINDS, [...alerted, ...Object.keys(ALERTED_OTHERWISE)]), []);
  const repeated = alerted.filter((kind) => Object.hasOwn(ALERTED_OTHERWISE, kind));
  t.same(repeated, [], 'in one place only');
  for (const alert of Object.values(ALERTED_OTHERWISE))
    if (alert !== null) t.match(rules, `alert: ${alert}\n`, alert);
});

/** Files that must list every kind of condition; they raise none. */
const TABLES = ['bridge/onvif.ts', 'local/site-remedies.ts'];

void t.test('each condition is raised by a source file', async (t) => {
  const sources = readdirSync(join(ROOT, 'agent'), { recursive: true, encoding: 'utf8' }).filter(
    (path) => /\.ts$/.test(path) && !/^(?:contract|cli|page|kit)\//.test(path) && !TABLES.includes(path),
  );
  t.ok(sources.length > 100, `${sources.length} sources`);
  const text = sources.map((path) => read(join('agent', path))).join('\n');
  t.same(
    CONDITION_KINDS.filter((kind) => !text.includes(`'${kind}'`)),
    [],
  );
});

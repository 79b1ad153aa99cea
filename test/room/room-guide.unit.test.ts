/** Tests that the guides of a room's administrators agree with its settings, units, programs, messages and limits. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TSchema } from '@sinclair/typebox';
import t from 'tap';
import { parse } from 'yaml';
import { PERMISSIONS } from '../../agent/contract/command.ts';
import { DEFAULT_QUOTA } from '../../scripts/products/room/archive/share.ts';
import { problemOf } from '../../scripts/products/room/console/fault.ts';
import { OPEN_MAX } from '../../scripts/products/room/console/queue.ts';
import { SettingsFile } from '../../scripts/products/room/console/settings.ts';
import { CAMERAS_MAX } from '../../scripts/products/room/contract/camera.ts';
import { ACTIONS, type Action, may, ROLES } from '../../scripts/products/room/contract/roles.ts';
import { MATCHES_MAX } from '../../scripts/products/room/contract/signer.ts';
import * as terms from '../../scripts/products/room/contract/terms.ts';
import { ROOM_TRACKS_MAX } from '../../scripts/products/room/contract/tracks.ts';
import { DEFAULT } from '../../scripts/products/room/retention/orders.ts';
import { codesIn, sectionOf, tableRows } from '../lib/markdown.ts';
import { ROOT } from '../lib/paths.ts';

const PROGRAMS = 'scripts/products/room';
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const guideOf = (name: string): string => read(`docs/guide/${name}.md`);
const room = guideOf('room');
const consoleGuide = guideOf('console');
/** Guides whose commands are typed on the room's machine. */
const GUIDES = ['room', 'console', 'archive', 'broker', 'enrolment'].map(guideOf);
const tmpfiles = read(`${PROGRAMS}/systemd/vigie-room.tmpfiles.conf`);

/** Code blocks of one language. */
const codeBlocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, code = '']) => code);

const firstColumnCodes = (text: string): string[] =>
  tableRows(text).flatMap(([first = '']) => codesIn(first));

/** Names of all settings in dotted form; those of a list have the name of the list. */
function settingNames(schema: TSchema, path: string): string[] {
  const { properties, items } = schema as {
    readonly properties?: Readonly<Record<string, TSchema>>;
    readonly items?: TSchema;
  };
  if (items !== undefined) return settingNames(items, path);
  if (properties === undefined) return [path];
  return Object.entries(properties).flatMap(([name, one]) =>
    settingNames(one, path === '' ? name : `${path}.${name}`),
  );
}

void t.test('the table of settings has exactly the settings of the console', async (t) => {
  const table = firstColumnCodes(sectionOf(room, '### The console: console.yaml'));
  t.strictSame(table.sort(), settingNames(SettingsFile, '').sort());
});

void t.test('every settings file that the guides and the package show is valid', async (t) => {
  const example = read(`${PROGRAMS}/examples/console.yaml`);
  const uncommented = example.replaceAll(/^#(?=\S| {2})/gm, '');
  const files = [...codeBlocks(room, 'yaml'), ...codeBlocks(consoleGuide, 'yaml'), example, uncommented];
  t.ok(files.length >= 6, `${files.length} files`);
  for (const file of files) {
    const content = parse(file) as { commands?: { keys: { may: (typeof PERMISSIONS)[number][] }[] } };
    if (content.commands === undefined)
      t.equal(problemOf(SettingsFile, { database: 'room.db', ...content }), undefined, file);
    for (const permission of content.commands?.keys.flatMap((key) => key.may) ?? [])
      t.ok(PERMISSIONS.includes(permission), permission);
  }
  t.ok(Object.keys(parse(uncommented) as object).length > Object.keys(parse(example) as object).length);
});

/** Options that the source of a program declares. */
const optionsOf = (program: string): string[] =>
  [...read(`${PROGRAMS}/${program}/main.ts`).matchAll(/'(--[a-z-]+)/g)].map(([, option = '']) => option);

void t.test('the options of the archive in the guide are those of the program and of its unit', async (t) => {
  const section = sectionOf(room, '### The archive: room.env');
  const tableOptions = firstColumnCodes(section)
    .filter((code) => code.startsWith('--'))
    .map((code) => code.split(' ')[0] ?? '');
  const [, unitLine = ''] = /^The unit sets (.*) itself\.$/m.exec(section) ?? [];
  const [command = ''] = /^ExecStart=.*$/m.exec(read(`${PROGRAMS}/systemd/vigie-room-archive.service`)) ?? [];
  const ofUnit = [...command.matchAll(/ (--(?:broker|ca|cert|key|database|quiet))\b/g)].map(([, one]) => one);
  t.strictSame(codesIn(unitLine), ofUnit);
  t.strictSame([...tableOptions, ...codesIn(unitLine)].sort(), [...new Set(optionsOf('archive'))].sort());
  const variables = firstColumnCodes(section).filter((code) => /^[A-Z_]+$/.test(code));
  const example = read(`${PROGRAMS}/examples/room.env`);
  t.strictSame(variables.sort(), [...example.matchAll(/^#?([A-Z_]{6,})=/gm)].map(([, one]) => one).sort());
});

void t.test('every command of the guides has a program and options that exist', async (t) => {
  const programs = readdirSync(join(ROOT, PROGRAMS));
  let count = 0;
  for (const line of GUIDES.flatMap((guide) => codeBlocks(guide, 'sh').join('\n').split('\n'))) {
    const [, program = '', rest = ''] =
      /(?:^|-- |&& )(?:vigie-room|\.\/scripts\/room) ([a-z]+)([^&;|>]*)/.exec(line.replace(/ #.*$/, '')) ??
      [];
    if (program === '') continue;
    count += 1;
    t.ok(programs.includes(program), line);
    const programOptions = optionsOf(program);
    for (const [, option = ''] of rest.matchAll(/ (--[a-z-]+)/g))
      t.ok(programOptions.includes(option), `${option}: ${line}`);
    if (program !== 'enrol') continue;
    const [, command = ''] = /^ ([a-z-]+)/.exec(rest) ?? [];
    t.match(read(`${PROGRAMS}/enrol/main.ts`), `'${command}',`, line);
  }
  t.ok(count >= 12, `${count} commands`);
});

void t.test('the table of units names their users and the files that they wait for', async (t) => {
  const rows = tableRows(sectionOf(room, '### 1. The package'));
  const files = readdirSync(join(ROOT, PROGRAMS, 'systemd')).filter((file) =>
    /ConditionPath/.test(unitText(file)),
  );
  t.strictSame(rows.map(([unit]) => `${codesIn(String(unit))[0]}.service`).sort(), files.sort());
  for (const [unit = '', paths = '', user = ''] of rows) {
    const text = unitText(`${codesIn(unit)[0]}.service`);
    const conditions = [...text.matchAll(/^ConditionPathExists=(.*)$/gm)].map(([, path]) => path);
    t.strictSame(codesIn(paths).sort(), conditions.sort(), unit);
    t.equal(codesIn(user)[0], /^User=(.*)$/m.exec(text)?.[1], unit);
  }
});

const unitText = (file: string): string => read(`${PROGRAMS}/systemd/${file}`);

void t.test('a folder into which a command of the guides writes is made by the package', async (t) => {
  const folders = [...tmpfiles.matchAll(/^[dL] (\S+)/gm)].map(([, path = '']) => path);
  const paths = GUIDES.flatMap((guide) => codeBlocks(guide, 'sh')).flatMap((code) =>
    [...code.matchAll(/(?<![\w.])\/(?:etc|var\/lib)\/vigie-room[\w./-]*/g)].map(([path]) => path),
  );
  t.ok(paths.includes('/var/lib/vigie-room/pgpass') && paths.length > 20, `${paths.length} paths`);
  for (const path of paths) {
    const folder = path.replace(/\/$/, '');
    t.ok(folders.includes(folder) || folders.includes(dirname(folder)), path);
  }
});

void t.test('every example and guide that the package is said to contain is in it', async (t) => {
  const tree = read('scripts/workshop/package/room-tree.sh');
  const shipped = /docs\/guide\/\{([\w,-]+)\}\.md/.exec(tree)?.[1]?.split(',') ?? [];
  const units = readdirSync(join(ROOT, PROGRAMS, 'systemd'))
    .map(unitText)
    .join('\n');
  const man = read('scripts/workshop/package/room.ts').replaceAll('\\', '');
  const mentions = [...`${units}${man}`.matchAll(/file:\/\/\/usr\/share\/doc\/vigie-room\/([\w-]+)\.md/g)];
  t.ok(mentions.length > 6);
  for (const [text, guide = ''] of mentions) t.ok(shipped.includes(guide), text);
  for (const guide of ['room', 'console', 'archive']) t.ok(shipped.includes(guide), guide);
  const examples = GUIDES.flatMap((guide) => [
    ...guide.matchAll(/\/usr\/share\/doc\/vigie-room\/examples\/([\w./-]+\w)/g),
  ]);
  t.ok(examples.length >= 6);
  for (const [text, file = ''] of examples) {
    const folder = /^(broker|failover)\//.test(file) ? PROGRAMS : `${PROGRAMS}/examples`;
    t.doesNotThrow(() => read(`${folder}/${file}`), text);
  }
});

void t.test('the ports in the guide are those of the shipped files', async (t) => {
  const ports = tableRows(sectionOf(room, '## Before you begin')).flatMap(([port = '']) => port.split(', '));
  const listeners = [
    ...['mosquitto', 'readers'].flatMap((name) => [
      ...read(`${PROGRAMS}/broker/mosquitto/${name}.conf`).matchAll(/^listener (\d+)/gm),
    ]),
    ...read(`${PROGRAMS}/examples/nginx.conf`).matchAll(/^ {4}listen (\d+)/gm),
    ...read(`${PROGRAMS}/enrol/main.ts`).matchAll(/'--port <number>'.*\), (\d+)\)/g),
  ].map(([, port]) => port);
  t.strictSame(ports.sort(), listeners.sort());
  const consolePort = /LISTEN_DEFAULT = '127\.0\.0\.1:(\d+)'/.exec(
    read(`${PROGRAMS}/console/settings.ts`),
  )?.[1];
  const metrics = /'--port <number>'.*\), (\d+)\)/.exec(read(`${PROGRAMS}/metrics/main.ts`))?.[1];
  t.match(room, `The console (${consolePort}) and the metrics (${metrics}) listen on 127.0.0.1 only.`);
});

void t.test('the broker has one host name in all guides and examples', async (t) => {
  const names = [
    /^VIGIE_ROOM_ARCHIVE_BROKER=mqtts:\/\/([\w.]+):/m.exec(read(`${PROGRAMS}/examples/room.env`)),
    /^address ([\w.]+):/m.exec(read(`${PROGRAMS}/broker/mosquitto/readers.conf`)),
    /^VIGIE_ROOM_BROKER=mqtts:\/\/([\w.]+):/m.exec(read(`${PROGRAMS}/examples/room.env`)),
    /^VIGIE_ROOM_ENROL_NAME=(.*)$/m.exec(read(`${PROGRAMS}/examples/enrol.env`)),
    /url: mqtts:\/\/([\w.]+):/.exec(read(`${PROGRAMS}/examples/signer-room.yaml`)),
    /vigie-room enrol server (\S+)/.exec(guideOf('broker')),
    /mqtt\.url: mqtts:\/\/([\w.]+):/.exec(room),
  ].map((match) => match?.[1]);
  t.strictSame([...new Set(names)], ['room.example']);
});

void t.test('the guide of the archive shows the example in Python that is tested', async (t) => {
  t.strictSame(codeBlocks(guideOf('archive'), 'python')[0], read('docs/examples/archive.py'));
  t.match(guideOf('archive'), '(../examples/archive.mjs)');
});

void t.test('the backup holds every folder that a purge of the package deletes', async (t) => {
  const [, folders = ''] = /rm -rf (.*)/.exec(read('scripts/workshop/package/debian-room/postrm')) ?? [];
  const [backup = ''] = codeBlocks(sectionOf(room, '## Backup and restore'), 'sh');
  const isSaved = (folder: string): boolean => new RegExp(`${folder.slice(1)}(?![\\w-])`).test(backup);
  t.strictSame(
    folders.split(' ').filter((folder) => !isSaved(folder)),
    // Copies for the authority and for readers, lists that `enrol init` writes again, and the folder of a socket.
    [
      '/var/lib/vigie-room-signer',
      '/var/lib/vigie-room-boxes',
      '/var/lib/vigie-room-readers',
      '/run/vigie-room-signer',
    ],
  );
  for (const key of ['desk.pem', "'*.room.key'"]) t.match(backup, `--exclude=${key}`);
});

/** Sources of the room and of the errors of its connection, one text. */
function sourceText(): string {
  const files = readdirSync(join(ROOT, PROGRAMS), { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.ts')).map((file) => read(`${PROGRAMS}/${file}`));
  return [...sources, read('agent/mqtt/connection-errors.ts')].join('\n');
}

void t.test('every message and screen text of the guides is in the programs', async (t) => {
  const source = sourceText();
  const messages = tableRows(sectionOf(room, '## Troubleshooting'))
    .flatMap(([first = '']) => codesIn(first))
    .filter((code) => /^[^`]* [^`]* /.test(code) && !/^(?:SELECT|start condition)|FILE/.test(code));
  t.ok(messages.length >= 10, `${messages.length} messages`);
  for (const message of messages) t.ok(source.includes(message), message);
  const names = [room, consoleGuide].flatMap((guide) =>
    [...guide.matchAll(/(?<![\w*])\*([^*\n]*\p{L}[^*\n]*)\*(?!\*)/gu)].map(([, name = '']) => name),
  );
  t.ok(names.length > 10, `${names.length} screen texts`);
  for (const name of names) t.ok(source.toLowerCase().includes(name.toLowerCase()), name);
});

/** Actions of each row of the table of roles, by the beginning of the row; a role needs all of them. */
const ROLE_ROWS: Readonly<Record<string, readonly Action[]>> = {
  'see the queue': ['see-incidents', 'see-cameras'],
  'see a still': ['see-still'],
  'claim, unclaim': ['claim', 'dispatch', 'judge', 'note', 'suppress', 'undo'],
  'search in': ['search'],
  'ask the log': ['ask-tracks'],
  'export the answer': ['ask-tracks', 'export'],
  reassign: ['reassign', 'reopen'],
  'request a sealed': ['request-sealed'],
  'shift report': ['hand-over'],
  'see who is': ['end-sessions'],
  'send refused': ['resend-webhooks'],
  statistics: ['see-figures', 'see-audit', 'export'],
};

void t.test('the table of roles is the one that the server checks', async (t) => {
  const rows = tableRows(sectionOf(consoleGuide, '## Roles'));
  t.equal(rows.length, Object.keys(ROLE_ROWS).length);
  t.strictSame(
    [...new Set(Object.values(ROLE_ROWS).flat())].sort(),
    [...ACTIONS].sort(),
    'every action has a row',
  );
  t.match(consoleGuide, `| | ${ROLES.join(' | ')} |`);
  for (const [label = '', ...cells] of rows) {
    const [, actions = []] = Object.entries(ROLE_ROWS).find(([start]) => label.startsWith(start)) ?? [];
    t.ok(actions.length > 0, label);
    const allowed = ROLES.map((role) => (actions.every((action) => may(role, action)) ? 'yes' : 'no'));
    t.strictSame(
      cells.map((cell) => cell.replaceAll('*', '')),
      allowed,
      label,
    );
  }
});

/** Value of a constant that its module does not export. */
function constantOf(file: string, name: string): number {
  const [, text = ''] = new RegExp(`const ${name} = ([\\d_]+);`).exec(read(`${PROGRAMS}/${file}`)) ?? [];
  t.not(text, '', `${file} has the constant ${name}`);
  return Number(text.replaceAll('_', ''));
}

const grouped = (value: number): string => value.toLocaleString('en-GB');

void t.test('the limits in the guides are those of the programs', async (t) => {
  const ofConsole = [
    `holds the ${grouped(OPEN_MAX)} most urgent incidents`,
    `up to ${constantOf('console/queue.ts', 'OF_A_BOX_MAX')} of each box`,
    `at most ${constantOf('console/stream.ts', 'STREAMS_OF_ONE_MAX')} streams; all together have ${constantOf('console/stream.ts', 'STREAMS_MAX')}.`,
    `at most ${constantOf('console/sessions.ts', 'SESSIONS_OF_ONE_MAX')} sessions`,
    `all together have ${grouped(constantOf('console/sessions.ts', 'SESSIONS_MAX'))}.`,
    `up to ${grouped(terms.NOTE_CHARS_MAX)} characters`,
    `up to ${terms.BULK_MAX} incidents`,
    `up to ${grouped(CAMERAS_MAX)} cameras`,
    `up to ${grouped(MATCHES_MAX)} events of a search`,
    `up to ${grouped(ROOM_TRACKS_MAX)} tracks`,
    `leaves the room only after ${terms.UNDO_S} s`,
    `without an owner for ${terms.ESCALATE_S} s`,
    `holds for ${terms.CLAIM_S / 60} min`,
    `At most ${terms.SUPPRESSIONS_MAX} suppressions`,
    `end within ${terms.ENDING_DAYS} days`,
    `kept for ${terms.STATISTICS_DAYS} days`,
  ];
  const ofRoom = [
    `has ${DEFAULT.eventsDays} days for events and ${DEFAULT.snapshotsDays} for stills`,
    `after ${terms.STATISTICS_DAYS} days`,
    `${grouped(DEFAULT_QUOTA.messages)} messages and ${DEFAULT_QUOTA.bytes / 2 ** 30} GiB`,
    `renews it every ${constantOf('archive/duty.ts', 'RENEW_EVERY_MS') / 1000} s`,
    `up to ${constantOf('console/patrol-settings.ts', 'PATROLS_MAX')} |`,
    `up to ${constantOf('console/parts.ts', 'PLAN_BYTES_MAX') / 2 ** 20} MiB`,
    `valid for ${constantOf('enrol/main.ts', 'SERVER_DAYS')} days`,
    `newest ${constantOf('archive/alert-feed.ts', 'KEPT_MAX')} stills`,
  ];
  const inOneLine = (text: string): string => text.replaceAll(/\n(?!\n)\s*/g, ' ');
  for (const text of ofConsole) t.ok(inOneLine(consoleGuide).includes(text), text);
  for (const text of ofRoom) t.ok(inOneLine(room).includes(text), text);
});

void t.test('the guide promises a conversion of older tables only if there is one', async (t) => {
  t.match(sectionOf(room, '## Upgrade and removal').replaceAll('\n', ' '), 'There is no conversion');
  t.match(read(`${PROGRAMS}/database/prepare.ts`), /version !== String\(VERSION\)\) \{\s+throw/);
});

/** Reference page of the configuration (docs/ref/config.md), generated from the schema. */
import { KindGuard, type TObject, type TSchema } from '@sinclair/typebox';
import { PINS_MAX } from '../contract/camera-target.ts';
import {
  BridgesConfig,
  CameraConfig,
  CommandKey,
  Config,
  DetectorConfig,
  ElementConfig,
  GroundPlaneConfig,
  LineConfig,
  MarkedPerson,
  MaskConfig,
  MqttConfig,
  RetentionConfig,
  ZoneConfig,
} from '../contract/config.ts';
import { MetricsConfig } from '../contract/metrics-config.ts';
import { RULE_SCHEMAS, ScheduleSpan } from '../contract/rule-config.ts';
import { CONFIG_KEYS, PROGRAM_VARIABLES } from './environment.ts';
import { EXAMPLE } from './example.ts';
import { CONFIG_BYTES_MAX } from './source.ts';
import { expected } from './words.ts';

/** Returns the page as Markdown. The same schema always gives the same text. */
export function describeConfig(): string {
  return [INTRODUCTION, ...sections().map(sectionText), environment(), exampleText()].join('\n\n');
}

interface Section {
  readonly title: string;
  readonly about: string;
  readonly schema: TObject;
  /** Path of the keys, for their environment variables; undefined within lists. */
  readonly path?: readonly string[];
}

const INTRODUCTION = `# Configuration

One YAML file for one box, usually \`/etc/vigie/vigie.yaml\`; a JSON file is read just as well. It is read once
at start, accepted or refused completely: \`vigie check FILE\` lists every error with its line, the
value found and the accepted values. Unknown keys are errors. The file has at most ${CONFIG_BYTES_MAX / 1024} KiB.

A key without a default must be given. Coordinates are ratios of the picture's width and height, from 0 to 1,
with the origin at the top left and y downwards, so that they hold for every resolution.`;

const CAMERA = `Needed by \`vigie run\`; replay has its clip.

An RTSP source is \`rtsp://[user:password@]host[:port]/path[?query]\`. In a user or password write \`%40\` for @, \`%2F\`
for /, \`%23\` for #, \`%3F\` for ?, \`%25\` for %. A source that two programs could read differently is refused, and
\`vigie check\` shows the accepted form: a second @ or one behind the host, \`#\`, a backslash, a space; the same key
twice in path and query; a letter, a digit or a separator as \`%XX\` there; an IPv4 address in another form than
\`192.168.1.20\`. Port 554 and none are the same.

\`substream\` is off by default: see [the camera's second stream](../guide/hardware.md#the-cameras-second-stream). It must be another RTSP
stream of the same host and port as \`source\`, and the authorisation must name it as \`substream\`.

An authorisation names the source without user and password, which have their own names in path and query (\`user\`,
\`password\`, \`pwd\` and similar). All other keys belong to it: \`?channel=1\` and \`?channel=2\` are two cameras. Where a key
may be a credential (\`token\`, \`auth\`, \`secret\` and similar; ${PINS_MAX} at most), the authorisation holds a digest of its value.
Messages show the values of well-known stream keys only (\`channel\`, \`stream\`, \`subtype\` …).`;

function sections(): Section[] {
  const scalars = Object.entries(Config.properties).filter(
    ([, schema]) => !KindGuard.IsObject(schema) && !isListOfGroups(schema),
  );
  return [
    {
      title: 'Top level',
      about: 'Identity of the box. The groups and lists below are at the same level as these keys.',
      schema: { ...Config, properties: Object.fromEntries(scalars) },
      path: [],
    },
    {
      title: '`camera`',
      about: CAMERA,
      schema: CameraConfig,
      path: ['camera'],
    },
    {
      title: '`detector`',
      about: 'Detector of people and vehicles.',
      schema: DetectorConfig,
      path: ['detector'],
    },
    {
      title: '`detector`: element',
      about:
        'The group `detector.element`, for `backend: gstreamer`; see [Accelerators](../guide/accelerators.md). While the element cannot run, `detector.model` runs on the CPU, and the box says so.',
      schema: ElementConfig,
      path: ['detector', 'element'],
    },
    {
      title: '`groundPlane`',
      about:
        'Optional scale of the street. Boxes of impossible size are not tracked, but still redacted; `vigie check` reports zones that are too far away; crowds get a density.',
      schema: GroundPlaneConfig,
      path: ['groundPlane'],
    },
    {
      title: '`groundPlane`: people',
      about: 'An item of `groundPlane.people`.',
      schema: MarkedPerson,
    },
    {
      title: '`zones`',
      about: 'A list of areas; an object is where it touches the ground.',
      schema: ZoneConfig,
    },
    { title: '`lines`', about: 'A list of tripwires.', schema: LineConfig },
    {
      title: '`masks`',
      about: 'A list of privacy masks: black before detection and snapshot.',
      schema: MaskConfig,
    },
    ...RULE_SCHEMAS.map((schema) => ({
      title: `\`rules\`: ${schema.properties.kind.const}`,
      about: `An item of \`rules\` with \`kind: ${schema.properties.kind.const}\`.`,
      schema,
    })),
    {
      title: '`schedule`',
      about: 'An item of a rule’s `schedule`; `to` before `from` goes on into the next day.',
      schema: ScheduleSpan,
    },
    {
      title: '`mqtt`',
      about: 'The way to the room, needed by `vigie run`. `mqtts://` needs `ca`, `cert` and `key`.',
      schema: MqttConfig,
      path: ['mqtt'],
    },
    {
      title: '`bridges`',
      about:
        'Events once more, in the forms of other systems; see [Bridges](../guide/bridges.md). Best effort: only the main topics are guaranteed.',
      schema: BridgesConfig,
      path: ['bridges'],
    },
    {
      title: '`retention`',
      about: 'Retention periods and size limits.',
      schema: RetentionConfig,
      path: ['retention'],
    },
    {
      title: '`metrics`',
      about:
        'For Prometheus; see [Operations](../guide/operations.md). Never on another address than the loopback; a port that is taken is said in the log and stops nothing.',
      schema: MetricsConfig,
      path: ['metrics'],
    },
    {
      title: '`commands.keys`',
      about:
        'A list of the public keys whose signed commands this box obeys; without a key it obeys no commands. [How to make one](../guide/search.md).',
      schema: CommandKey,
    },
  ];
}

function isListOfGroups(schema: TSchema): boolean {
  return KindGuard.IsArray(schema) && (KindGuard.IsObject(schema.items) || KindGuard.IsUnion(schema.items));
}

function sectionText({ title, about, schema, path }: Section): string {
  const keys = Object.entries(schema.properties);
  const rows = keys.map(([key, property]) => {
    const variable = path === undefined ? undefined : variableOf([...path, key]);
    const cells = [`\`${key}\``, meaning(property), valueText(property), defaultText(schema, key, property)];
    return path === undefined ? cells : [...cells, variable === undefined ? '' : `\`${variable}\``];
  });
  const head = ['key', 'meaning', 'value', 'default', ...(path === undefined ? [] : ['environment'])];
  return `## ${title}\n\n${about}\n\n${table(head, rows)}`;
}

/** Returns the meaning. If a schema has a pattern, its description is the form and its title the meaning. */
function meaning(schema: TSchema): string {
  return schema.title ?? schema.description ?? '';
}

function valueText(schema: TSchema): string {
  const words = expected(schema);
  return words === meaning(schema) ? 'text' : words.replace(/^text of/, 'text,');
}

function defaultText(group: TObject, key: string, schema: TSchema): string {
  if (schema['default'] !== undefined) return `\`${JSON.stringify(schema['default'])}\``;
  return group.required?.includes(key) ? '' : 'none (optional)';
}

function variableOf(path: readonly string[]): string | undefined {
  return CONFIG_KEYS.find((key) => key.path.join('.') === path.join('.'))?.variable;
}

function environment(): string {
  const rows = Object.entries(PROGRAM_VARIABLES).map(([name, description]) => [`\`${name}\``, description]);
  return `## Environment

A variable of the tables above goes before the file. Lists are written with commas: \`VIGIE_DETECTOR_INPUT=640,384\`.
Zones, lines, masks, rules and commands are set in the file only. Any other variable that begins with \`VIGIE_\` is an error,
except these, which belong to the program:

${table(['variable', 'meaning'], rows)}`;
}

function exampleText(): string {
  return `## Full example\n\n\`\`\`yaml\n${EXAMPLE}\`\`\`\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

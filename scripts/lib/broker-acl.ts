/**
 * Writes the access rules of Mosquitto, one file for all of its listeners. It has a block for each program of the room,
 * by the rights of its role, then one for each box, without patterns.
 *
 * A certificate's CN is the user and the client identifier: `ROLE.NAME` of a program, the name of a box, which has no
 * dot. A pattern with the user's name (%u) would let a box write under any site, since its certificate names only the
 * box. A file for each listener would need `per_listener_settings true`, with which Mosquitto 2.0 drops messages for an
 * offline client (https://github.com/eclipse-mosquitto/mosquitto/issues/2618).
 */
import { AgentError } from '../../agent/base/errors.ts';

export interface BoxPlace {
  readonly site: string;
  readonly box: string;
}

/** Shipped rights of the room's programs by role. The enrolment keeps a file of them, which a town may change. */
export const PROGRAM_RULES = `# The archive, and its standby under the same name: reads everything; writes acknowledgements and verdicts.
user archive
topic read vigie/#
topic read homeassistant/#
topic write vigie/+/+/ack
topic write vigie/+/+/verdict

# A desk asks boxes by signed commands, as the console's signer does: reads their states and answers.
user desk
topic read vigie/+/+/status
topic read vigie/+/+/reply/+
topic write vigie/+/+/cmd

# The witness: reads the heads of the journals, and publishes its cosignatures.
user witness
topic read vigie/+/+/journal/#
topic write vigie/+/+/journal/cosigned

# The fleet: reads everything; writes only desired states and commands.
user fleet
topic read vigie/#
topic write vigie/+/+/update/desired
topic write vigie/+/+/config/desired
topic write vigie/+/+/cmd

# The metrics: reads only the states of boxes, no events and no stills.
user metrics
topic read vigie/+/+/status
topic read vigie/+/+/health
topic read vigie/+/+/mode
topic read vigie/+/+/update/reported
topic read $SYS/broker/retained messages/count
topic read $SYS/broker/log/N
topic read readers/log/N

# The bridge to the readers’ broker: reads what they may, and reports who connects there.
user bridge
topic read vigie/+/+/evt/#
topic read vigie/+/+/snap/#
topic read vigie/+/+/status
topic read vigie/+/+/health
topic read vigie/+/+/home-assistant/#
topic read homeassistant/#
topic write readers/log/N

# At the readers’ broker, readers: other programs that read events, stills and the states of boxes. They may not write.
user reader
topic read vigie/+/+/evt/#
topic read vigie/+/+/snap/#
topic read vigie/+/+/status
topic read vigie/+/+/health

# At the readers’ broker, Home Assistant, for boxes with bridges.homeAssistant: reads their messages for it and their states; writes its own status.
user homeassistant
topic read homeassistant/#
topic read vigie/+/+/home-assistant/#
topic read vigie/+/+/status
topic read vigie/+/+/health
topic write homeassistant/status
`;

const HEAD =
  '# Written by the enrolment (vigie-room enrol): manual changes are lost. A name that is not listed may neither\n' +
  '# read nor write.\n';

/** Roles of the room's programs. */
export const ROLES: readonly string[] = [...PROGRAM_RULES.matchAll(/^user (.+)$/gm)].map(([, role]) =>
  String(role),
);

/** Roles at the readers’ broker. All others are at the room’s. */
const READERS = ['reader', 'homeassistant'];

/**
 * Returns the file for `acl_file`. Names are used unchecked, because the caller has checked them. `rules`: the rights of
 * each role. `programs`: names of certificates. `revoked`: boxes that may publish only their status. The broker
 * needs it for their Last Will.
 * @throws {AgentError} `config` if a program's role has no rules
 */
export function brokerAcl(
  rules: string,
  programs: Iterable<string>,
  boxes: Iterable<BoxPlace>,
  revoked: Iterable<BoxPlace> = [],
): string {
  const ofPrograms = programBlocks(rules, programs, (role) => !READERS.includes(role));
  const enrolled = [...boxes].map(({ site, box }) =>
    blockOf(box, [
      `readwrite vigie/${site}/${box}/#`,
      // Commands to all boxes of the site.
      `read vigie/${site}/all/cmd`,
      // The box's own entities.
      `write homeassistant/+/${box}/+/config`,
    ]),
  );
  const revokedBlocks = [...revoked].map(({ site, box }) =>
    blockOf(box, [`write vigie/${site}/${box}/status`]),
  );
  return [HEAD, ...ofPrograms, ...enrolled, ...revokedBlocks].join('');
}

/** Returns the file for `acl_file` of the readers’ broker; otherwise as `brokerAcl`. */
export function readersAcl(rules: string, programs: Iterable<string>): string {
  return [HEAD, ...programBlocks(rules, programs, (role) => READERS.includes(role))].join('');
}

function programBlocks(
  rules: string,
  programs: Iterable<string>,
  isHere: (role: string) => boolean,
): string[] {
  const rulesOf = new Map(
    rules.split(/^user /m).map((block) => {
      const [role = '', ...lines] = block.split('\n');
      return [role.trim(), lines.filter((line) => line.startsWith('topic '))];
    }),
  );
  return [...new Set(programs)].flatMap((name) => {
    const [role = ''] = name.split('.');
    const lines = rulesOf.get(role);
    if (lines === undefined) throw new AgentError('config', `programs.acl: no rules for ${role}, of ${name}`);
    return isHere(role) ? [`\nuser ${name}\n${lines.map((line) => `${line}\n`).join('')}`] : [];
  });
}

function blockOf(box: string, rules: readonly string[]): string {
  return `\nuser ${box}\n${rules.map((rule) => `topic ${rule}\n`).join('')}`;
}

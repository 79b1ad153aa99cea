/**
 * The access rules of Mosquitto, one file for both of its listeners: the room's programs, then one block a box, none by
 * pattern.
 *
 * A pattern with the user's name (%u) would let a box write under any site, since its certificate names the box alone. A
 * file for each listener would need `per_listener_settings true`, with which Mosquitto 2.0 drops what comes for a client
 * that is away (https://github.com/eclipse-mosquitto/mosquitto/issues/2618). No box has a program's name.
 */

export interface BoxPlace {
  readonly site: string;
  readonly box: string;
}

/** What the room's programs may, as it is shipped; the enrolment keeps a file of it, in which a town may change it. */
export const PROGRAM_RULES = `# The room: reads everything, acknowledges, judges and commands, and writes nothing else.
user room
topic read vigie/#
topic read homeassistant/#
topic write vigie/+/+/ack
topic write vigie/+/+/cmd
topic write vigie/+/+/verdict

# The witness: reads the journals' heads and answers with its signature.
user witness
topic read vigie/+/+/journal/#
topic write vigie/+/+/journal/witnessed

# The fleet: reads everything, says what boxes shall run, asks them, and writes nothing else.
user fleet
topic read vigie/#
topic write vigie/+/+/update/desired
topic write vigie/+/+/config/desired
topic write vigie/+/+/cmd

# The metrics: reads how the boxes are, and nothing of the street.
user metrics
topic read vigie/+/+/status
topic read vigie/+/+/health
topic read vigie/+/+/mode
topic read vigie/+/+/update/reported
topic read $SYS/broker/retained messages/count

# Readers: other programs that hear events, stills and how the boxes are, and write nothing.
user reader
topic read vigie/+/+/evt/#
topic read vigie/+/+/snap/#
topic read vigie/+/+/status
topic read vigie/+/+/health

# Home Assistant, for boxes with bridges.homeAssistant: reads what they tell it and how they are, writes its own status.
user homeassistant
topic read homeassistant/#
topic read vigie/+/+/home-assistant/#
topic read vigie/+/+/status
topic read vigie/+/+/health
topic write homeassistant/status
`;

const HEAD =
  '# Written by the enrolment (vigie-room enrol): what is changed here by hand is lost. Who is not named here reads and\n' +
  '# writes nothing.\n\n';

/**
 * The file for `acl_file`; names are taken as they are: whoever calls has checked them. `revoked`: boxes that may say
 * nothing any more but their status, so that the broker can say their Last Will when their connection is ended.
 */
export function brokerAcl(
  programs: string,
  boxes: Iterable<BoxPlace>,
  revoked: Iterable<BoxPlace> = [],
): string {
  const enrolled = [...boxes].map(({ site, box }) =>
    blockOf(box, [
      `readwrite vigie/${site}/${box}/#`,
      // What is said to all boxes of its site.
      `read vigie/${site}/all/cmd`,
      // Its own entities.
      `write homeassistant/+/${box}/+/config`,
    ]),
  );
  const gone = [...revoked].map(({ site, box }) => blockOf(box, [`write vigie/${site}/${box}/status`]));
  return `${HEAD}${programs.trimEnd()}\n${enrolled.join('')}${gone.join('')}`;
}

function blockOf(box: string, rules: readonly string[]): string {
  return `\nuser ${box}\n${rules.map((rule) => `topic ${rule}\n`).join('')}`;
}

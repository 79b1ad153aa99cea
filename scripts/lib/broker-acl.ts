/**
 * Writes the access rules of Mosquitto, one file for both of its listeners: the room's programs, then one block for
 * each box, without patterns.
 *
 * A pattern with the user's name (%u) would let a box write under any site, since its certificate names only the box. A
 * file for each listener would need `per_listener_settings true`, with which Mosquitto 2.0 drops messages for an
 * offline client (https://github.com/eclipse-mosquitto/mosquitto/issues/2618). No box has a program's name.
 */

export interface BoxPlace {
  readonly site: string;
  readonly box: string;
}

/** Shipped permissions of the room's programs. The enrolment keeps a file of them, which a town may change. */
export const PROGRAM_RULES = `# The room: reads everything; writes only acknowledgements, commands and verdicts.
user room
topic read vigie/#
topic read homeassistant/#
topic write vigie/+/+/ack
topic write vigie/+/+/cmd
topic write vigie/+/+/verdict

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

# Readers: other programs that read events, stills and the states of boxes. They may not write.
user reader
topic read vigie/+/+/evt/#
topic read vigie/+/+/snap/#
topic read vigie/+/+/status
topic read vigie/+/+/health

# Home Assistant, for boxes with bridges.homeAssistant: reads their messages for it and their states; writes its own status.
user homeassistant
topic read homeassistant/#
topic read vigie/+/+/home-assistant/#
topic read vigie/+/+/status
topic read vigie/+/+/health
topic write homeassistant/status
`;

const HEAD =
  '# Written by the enrolment (vigie-room enrol): manual changes are lost. A name that is not listed may neither\n' +
  '# read nor write.\n\n';

/**
 * Returns the file for `acl_file`. Names are used unchecked, because the caller has checked them. `revoked`: boxes that
 * may publish only their status, so that the broker can publish their Last Will when their connection ends.
 */
export function brokerAcl(
  programs: string,
  boxes: Iterable<BoxPlace>,
  revoked: Iterable<BoxPlace> = [],
): string {
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
  return `${HEAD}${programs.trimEnd()}\n${enrolled.join('')}${revokedBlocks.join('')}`;
}

function blockOf(box: string, rules: readonly string[]): string {
  return `\nuser ${box}\n${rules.map((rule) => `topic ${rule}\n`).join('')}`;
}

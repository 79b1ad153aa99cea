/**
 * The access rules of boxes at Mosquitto: one block a box, none by pattern.
 *
 * A pattern with the user's name (%u) would let a box write under any site, since its certificate names the box alone.
 */

export interface BoxPlace {
  readonly site: string;
  readonly box: string;
}

const HEAD =
  '# Written by the enrolment (vigie-room enrol): what is changed here by hand is lost. A box without a block\n' +
  '# reads and writes nothing.\n';

/**
 * The file for `acl_file`; names are taken as they are: whoever calls has checked them. `revoked`: boxes that may say
 * nothing any more but their status, so that the broker can say their Last Will when their connection is ended.
 */
export function boxAcl(boxes: Iterable<BoxPlace>, revoked: Iterable<BoxPlace> = []): string {
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
  return HEAD + enrolled.join('') + gone.join('');
}

function blockOf(box: string, rules: readonly string[]): string {
  return `\nuser ${box}\n${rules.map((rule) => `topic ${rule}\n`).join('')}`;
}

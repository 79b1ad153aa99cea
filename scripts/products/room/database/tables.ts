/**
 * Tables of the room, version 7.
 *
 * Times of events (`at`, `started_at`) use the box's clock if it is credible. `received` uses the room's clock.
 */
import type { Dialect } from './sql.ts';

export const VERSION = 8;

/** Returns the statements that create the tables. Rows in `setting` hold the version and the time zone. */
export function tables({ types, name }: Dialect): string[] {
  const { integer, text, boolean, time, json, bytes, identity, real } = types;
  const box = `site ${text} NOT NULL, box ${text} NOT NULL`;
  const place = `${box}, epoch ${text} NOT NULL, lane ${text} NOT NULL`;
  // A monthly partition is dropped at once, however many rows it has.
  const by = (column: string): string => (name === 'postgres' ? ` PARTITION BY RANGE (${column})` : '');
  return [
    `CREATE TABLE setting (name ${text} PRIMARY KEY, value ${text} NOT NULL)`,
    `CREATE TABLE event (${place}, seq ${integer} NOT NULL, id ${text} NOT NULL, type ${text} NOT NULL,
      time ${time}, at ${time} NOT NULL, body ${json} NOT NULL, unread ${text}, received ${time} NOT NULL,
      PRIMARY KEY (site, box, id, at))${by('at')}`,
    'CREATE INDEX event_at ON event (at)',
    'CREATE INDEX event_box_at ON event (site, box, at)',
    `CREATE TABLE snapshot (${place}, seq ${integer} NOT NULL, name ${text} NOT NULL, sha256 ${text} NOT NULL,
      jpeg ${bytes} NOT NULL, received ${time} NOT NULL,
      PRIMARY KEY (site, box, name, received))${by('received')}`,
    'CREATE INDEX snapshot_received ON snapshot (received)',
    `CREATE TABLE lane (${place}, contiguous_seq ${integer} NOT NULL, later_ranges ${text} NOT NULL,
      PRIMARY KEY (site, box, epoch, lane))`,
    `CREATE TABLE report (${box}, topic ${text} NOT NULL, body ${json} NOT NULL, received ${time} NOT NULL,
      PRIMARY KEY (site, box, topic))`,
    // Numbers given out in commit order: a transaction that takes one locks the row until it ends.
    `CREATE TABLE counter (name ${text} PRIMARY KEY, value ${integer} NOT NULL)`,
    "INSERT INTO counter VALUES ('rev', 0), ('audit', 0)",
    `CREATE TABLE incident (no ${identity}, rev ${integer} NOT NULL, revision ${integer} NOT NULL, ${box},
      episode ${text} NOT NULL, entry ${integer} NOT NULL, severity ${text} NOT NULL, priority ${integer} NOT NULL,
      kind ${text} NOT NULL, rule ${text} NOT NULL, place ${text} NOT NULL, started_at ${time} NOT NULL,
      ended_at ${time}, received ${time} NOT NULL, clock_doubt ${boolean} NOT NULL,
      objects ${json} NOT NULL, cause ${json} NOT NULL, events ${integer} NOT NULL, newest ${time} NOT NULL,
      still ${text}, last_note ${integer}, detail ${json} NOT NULL, state ${text} NOT NULL,
      claimed_by ${text}, claimed_until ${time}, claimed_first ${time}, dispatched_by ${text}, dispatched_at ${time},
      patrol ${text}, patrol_answer ${text}, patrol_answer_at ${time}, arrived_at ${time},
      suppression ${integer}, is_suppressed ${boolean} NOT NULL DEFAULT FALSE,
      verdict ${text}, verdict_at ${time}, verdict_by ${text}, closed_at ${time}, closed_reason ${text},
      reopens ${integer},
      UNIQUE (episode, site, box, entry))`,
    'CREATE INDEX incident_rev ON incident (rev)',
    // In display order: a query reads the first 2,000 rows and no others. Notices are excluded, because they are never
    // closed and stay until their retention ends.
    `CREATE INDEX incident_open ON incident (priority, received DESC, no DESC)
      WHERE state <> 'closed' AND severity = 'alert'`,
    // For the end of claims, asked before each query for all screens.
    "CREATE INDEX incident_claimed ON incident (claimed_until) WHERE state = 'claimed'",
    // For the revocation of a box, which may own all open incidents.
    "CREATE INDEX incident_open_box ON incident (box, no) WHERE state <> 'closed' AND severity = 'alert'",
    // For the list of closed incidents, with the filters that may match few of a million.
    'CREATE INDEX incident_closed ON incident (closed_at, no) WHERE closed_at IS NOT NULL',
    ...Object.entries({ box: 'site, box', kind: 'kind', verdict: 'verdict', by: 'verdict_by' }).map(
      ([suffix, columns]) =>
        `CREATE INDEX incident_closed_${suffix} ON incident (${columns}, closed_at, no) WHERE closed_at IS NOT NULL`,
    ),
    // For the blind time of a day, and for rules that reached their alert limit in a shift.
    "CREATE INDEX incident_system ON incident (ended_at) WHERE severity = 'system'",
    "CREATE INDEX incident_muted ON incident (ended_at) WHERE severity = 'system' AND kind = 'alert-limit'",
    'CREATE INDEX incident_received ON incident (received, no)',
    'CREATE INDEX incident_box ON incident (site, box, received, no)',
    "CREATE INDEX incident_condition ON incident (box, site, kind) WHERE severity = 'system' AND ended_at IS NULL",
    // Incidents that a running suppression keeps out of the queue.
    'CREATE INDEX incident_suppressed ON incident (suppression, no) WHERE suppression IS NOT NULL',
    // An empty rule suppresses all rules of the camera. `rev` changes with every change of the row.
    `CREATE TABLE suppression (no ${identity}, rev ${integer} NOT NULL, ${box}, rule ${text} NOT NULL,
      reason ${text} NOT NULL, account ${text} NOT NULL, started_at ${time} NOT NULL, ends_at ${time} NOT NULL,
      ended_at ${time}, ended_by ${text}, incidents ${integer} NOT NULL DEFAULT 0)`,
    'CREATE INDEX suppression_rev ON suppression (rev)',
    'CREATE INDEX suppression_box ON suppression (site, box, ends_at)',
    'CREATE INDEX suppression_running ON suppression (ends_at) WHERE ended_at IS NULL',
    `CREATE TABLE note (no ${identity}, incident ${integer} NOT NULL, at ${time} NOT NULL, account ${text} NOT NULL,
      text ${text} NOT NULL)`,
    'CREATE INDEX note_incident ON note (incident)',
    // Pictures that each account has opened. Deleted with the incident.
    `CREATE TABLE still_view (incident ${integer} NOT NULL, account ${text} NOT NULL, is_program ${boolean} NOT NULL,
      picture ${text} NOT NULL, PRIMARY KEY (incident, account, is_program, picture))`,
    // Actions that can still be undone, by their numbers in the audit log. What they cause outside the room waits until
    // the row is deleted. `revision` is that of the incident after the action, `former` what the undo restores.
    `CREATE TABLE undo_window (act ${integer} PRIMARY KEY, name ${text} NOT NULL, account ${text} NOT NULL,
      is_program ${boolean} NOT NULL, until ${time} NOT NULL, incident ${integer}, revision ${integer},
      verdict_due ${integer}, former ${json} NOT NULL)`,
    'CREATE INDEX undo_window_incident ON undo_window (incident)',
    `CREATE TABLE camera (${box}, rev ${integer} NOT NULL, state ${text}, mode ${text}, conditions ${json} NOT NULL,
      certificate_ends ${time}, order_ends ${time}, version ${text}, last_alert ${time}, last_report ${time} NOT NULL,
      share_until ${time}, is_removed ${boolean} NOT NULL DEFAULT FALSE, PRIMARY KEY (site, box))`,
    'CREATE INDEX camera_rev ON camera (rev)',
    'CREATE INDEX camera_box ON camera (box)',
    // Boxes that are not enrolled but have sent messages.
    `CREATE TABLE stranger (${box}, first_at ${time} NOT NULL, last_at ${time} NOT NULL, messages ${integer} NOT NULL,
      bytes ${integer} NOT NULL, PRIMARY KEY (site, box))`,
    // Stored amount of each box on the last day on which it sent something, whatever its site.
    `CREATE TABLE box_share (box ${text} PRIMARY KEY, day ${text} NOT NULL, messages ${integer} NOT NULL,
      bytes ${integer} NOT NULL, left_out ${integer} NOT NULL)`,
    // Alerts and verdicts by day and hour in the room's time zone: sums without personal data.
    `CREATE TABLE day_figure (day ${text} NOT NULL, hour ${integer} NOT NULL, ${box}, rule ${text} NOT NULL,
      kind ${text} NOT NULL, alerts ${integer} NOT NULL, confirmed ${integer} NOT NULL,
      false_alarms ${integer} NOT NULL, unclear ${integer} NOT NULL, claims ${integer} NOT NULL,
      claim_s ${real} NOT NULL, suppressed ${integer} NOT NULL DEFAULT 0,
      arrivals ${integer} NOT NULL DEFAULT 0, arrival_s ${real} NOT NULL DEFAULT 0, PRIMARY KEY (day, hour, site, box, rule, kind))`,
    // Opening an incident queries one rule of one box over 30 days.
    'CREATE INDEX day_figure_rule ON day_figure (site, box, rule, day)',
    // Verdicts not yet delivered to the box, without the reviewer's name.
    `CREATE TABLE verdict_due (no ${identity}, ${box}, episode ${text} NOT NULL, verdict ${text} NOT NULL,
      time ${time} NOT NULL)`,
    'CREATE INDEX verdict_due_box ON verdict_due (site, box)',
    `CREATE TABLE audit (no ${integer} PRIMARY KEY, at ${time} NOT NULL, account ${text} NOT NULL,
      role ${text} NOT NULL, act ${text} NOT NULL, site ${text}, box ${text}, incident ${integer},
      more ${text} NOT NULL, previous ${text} NOT NULL, hash ${text} NOT NULL)`,
    'CREATE INDEX audit_incident ON audit (incident)',
    'CREATE INDEX audit_act ON audit (act, at)',
    // Keyed by the hash of the cookie, so that a reader of the table cannot log in.
    `CREATE TABLE session (id ${text} PRIMARY KEY, account ${text} NOT NULL, role ${text} NOT NULL,
      method ${text} NOT NULL, started_at ${time} NOT NULL, last_used_at ${time} NOT NULL,
      ends ${time} NOT NULL, checked_at ${time} NOT NULL, renewal ${text})`,
    'CREATE INDEX session_account ON session (account)',
    // Idempotency keys of completed actions, with their numbers in the audit log.
    `CREATE TABLE completed_action (key ${text} NOT NULL, account ${text} NOT NULL, incident ${integer} NOT NULL,
      at ${time} NOT NULL, act ${integer}, PRIMARY KEY (account, key))`,
    // Progress of each webhook: last delivered `rev`, last delivered new incident, and the program that delivers it
    // with its time limit.
    `CREATE TABLE webhook (name ${text} PRIMARY KEY, rev ${integer} NOT NULL, incident ${integer} NOT NULL,
      holder ${text}, until ${time})`,
    // Messages that the receiver of a webhook has refused by their content. `is_due`: a person sends them again.
    `CREATE TABLE webhook_refused (webhook ${text} NOT NULL, id ${text} NOT NULL, at ${time} NOT NULL,
      status ${integer} NOT NULL, incident ${integer}, is_due ${boolean} NOT NULL DEFAULT FALSE, body ${json} NOT NULL,
      PRIMARY KEY (webhook, id))`,
    'CREATE INDEX webhook_refused_incident ON webhook_refused (incident)',
  ];
}

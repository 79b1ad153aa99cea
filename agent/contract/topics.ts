/** MQTT topics of one box. Everything it writes is below `vigie/<site>/<box>/`, so that one ACL line is enough. */
import { ALL_BOXES } from './command.ts';
import type { Severity } from './event.ts';

export interface Topics {
  /** `vigie/<site>/<box>`, without a trailing slash. */
  readonly root: string;
  readonly status: string;
  readonly health: string;
  /** Signed statement of the mode. */
  readonly mode: string;
  /** Newest signed checkpoint of the journal. */
  readonly journalHead: string;
  /** The checkpoint with the proof that it continues the one cosigned by the witness. */
  readonly journalProvenHead: string;
  /** Newest checkpoint that the witness has cosigned, sent by the witness. */
  readonly journalWitnessed: string;
  /** Acknowledgement from the room's archive: all rows up to these numbers are stored. */
  readonly ack: string;
  /** Verdicts on alerts from the room's operators. */
  readonly verdict: string;
  /** Written by `doctor` to test whether publishing is allowed; no client needs to read it. */
  readonly probe: string;
  /** Signed commands for this box, and for every box of the site. */
  readonly command: string;
  readonly commandAll: string;
  /** Retained and signed: the release and the configuration that the room wants on this box. */
  readonly updateDesired: string;
  readonly configDesired: string;
  /** Retained and signed: the running version and the progress of changes. */
  readonly updateReported: string;
  event(severity: Severity, kind: string): string;
  snapshot(eventId: string): string;
  /**
   * Returns the topic for the reply to a command with this response topic. Undefined if that is not in `reply/` of this
   * box or of all boxes. In the latter, each box replies below its own name.
   */
  replyTo(responseTopic: string | undefined): string | undefined;
}

/** Last level of a response topic. */
export const REPLY_TOKEN = /^[A-Za-z0-9_-]{1,64}$/;

export function topicsOf(site: string, box: string): Topics {
  const root = `vigie/${site}/${box}`;
  const rootAll = `vigie/${site}/${ALL_BOXES}`;
  return {
    root,
    status: `${root}/status`,
    health: `${root}/health`,
    mode: `${root}/mode`,
    journalHead: `${root}/journal/head`,
    journalProvenHead: `${root}/journal/consistency`,
    journalWitnessed: `${root}/journal/cosigned`,
    ack: `${root}/ack`,
    verdict: `${root}/verdict`,
    probe: `${root}/probe`,
    command: `${root}/cmd`,
    commandAll: `${rootAll}/cmd`,
    updateDesired: `${root}/update/desired`,
    configDesired: `${root}/config/desired`,
    updateReported: `${root}/update/reported`,
    event: (severity, kind) => `${root}/evt/${severity}/${kind}`,
    snapshot: (eventId) => `${root}/snap/${eventId}`,
    replyTo: (responseTopic = '') => {
      const prefix = [`${root}/reply/`, `${rootAll}/reply/`].find((start) => responseTopic.startsWith(start));
      const token = prefix === undefined ? '' : responseTopic.slice(prefix.length);
      return REPLY_TOKEN.test(token) ? `${root}/reply/${token}` : undefined;
    },
  };
}

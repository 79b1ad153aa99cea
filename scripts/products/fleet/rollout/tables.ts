/** SQL tables of rollouts in the fleet's store (../store.ts). */
export const ROLLOUT_TABLES = `
CREATE TABLE rollout (
  name TEXT PRIMARY KEY, n INTEGER NOT NULL UNIQUE, kind TEXT NOT NULL, description TEXT NOT NULL,
  plan TEXT NOT NULL, created_at INTEGER NOT NULL, created_by TEXT NOT NULL, state TEXT NOT NULL,
  wave INTEGER NOT NULL, reached_at INTEGER, not_after INTEGER NOT NULL, accepted TEXT NOT NULL, request TEXT,
  reason TEXT, state_at INTEGER NOT NULL
) STRICT;
CREATE TABLE wave (
  rollout TEXT NOT NULL, n INTEGER NOT NULL, began_at INTEGER, reached_at INTEGER, ended_at INTEGER,
  PRIMARY KEY (rollout, n)
) STRICT;
CREATE TABLE rollout_box (
  rollout TEXT NOT NULL, site TEXT NOT NULL, box TEXT NOT NULL, wave INTEGER NOT NULL, state TEXT NOT NULL,
  state_at INTEGER NOT NULL, phase TEXT NOT NULL, reason TEXT, action TEXT, fields TEXT NOT NULL, bytes INTEGER,
  way TEXT, silence_ms INTEGER, PRIMARY KEY (rollout, site, box)
) STRICT;
CREATE TABLE rollout_skip (
  rollout TEXT NOT NULL, site TEXT NOT NULL, box TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (rollout, site, box)
) STRICT;
CREATE TABLE room_order (
  kind TEXT NOT NULL, order_kind TEXT NOT NULL, counter INTEGER NOT NULL, rollout TEXT NOT NULL, site TEXT NOT NULL,
  box TEXT NOT NULL, action TEXT NOT NULL, final INTEGER NOT NULL, created_at INTEGER NOT NULL,
  envelope TEXT NOT NULL, published_at INTEGER, cleared_at INTEGER, PRIMARY KEY (site, box, order_kind, counter)
) STRICT;
CREATE INDEX room_order_rollout ON room_order (rollout, final);
CREATE INDEX room_order_waiting ON room_order (published_at) WHERE published_at IS NULL;
CREATE TABLE seen_counter (
  order_kind TEXT NOT NULL, site TEXT NOT NULL, box TEXT NOT NULL, counter INTEGER NOT NULL,
  PRIMARY KEY (site, box, order_kind)
) STRICT;
`;

-- A state is an entity as one commit left it, and never changes. entities names the current state of each
-- entity; what came before is found through before_id, so that no content is stored twice. A kind is a type
-- within a namespace: each has its own full-text table text_<kind>, so that many long trajectories neither
-- slow down nor outweigh the tips beside them. fields holds what a filter may ask of the current metadata.
-- vectors has rowids, since a row of a kilobyte takes a page of its own in a table without.
CREATE TABLE namespaces (
  ns INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  version INTEGER NOT NULL
);
CREATE TABLE kinds (
  kind INTEGER PRIMARY KEY AUTOINCREMENT,
  ns INTEGER NOT NULL,
  type TEXT NOT NULL,
  size INTEGER NOT NULL DEFAULT 0,
  UNIQUE (ns, type)
);
CREATE TABLE commits (
  ns INTEGER NOT NULL,
  version INTEGER NOT NULL,
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  run_id TEXT,
  PRIMARY KEY (ns, version)
) WITHOUT ROWID;
CREATE INDEX commits_by_run ON commits (ns, run_id, version) WHERE run_id IS NOT NULL;
CREATE TABLE states (
  state_id INTEGER PRIMARY KEY AUTOINCREMENT,
  ns INTEGER NOT NULL,
  version INTEGER NOT NULL,
  entity_id TEXT NOT NULL,
  before_id INTEGER,
  revision INTEGER NOT NULL,
  created_at INTEGER,
  updated_at INTEGER,
  type TEXT,
  metadata TEXT,
  content TEXT
);
CREATE INDEX states_by_version ON states (ns, version, state_id);
CREATE INDEX states_by_entity ON states (ns, entity_id, version);
CREATE TABLE entities (
  ns INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  state_id INTEGER NOT NULL,
  PRIMARY KEY (ns, id)
) WITHOUT ROWID;
CREATE INDEX entities_by_kind ON entities (kind, id);
CREATE INDEX entities_by_state ON entities (kind, state_id);
CREATE TABLE fields (
  ns INTEGER NOT NULL,
  path TEXT NOT NULL,
  value TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  PRIMARY KEY (ns, path, value, entity_id)
) WITHOUT ROWID;
CREATE TABLE vectors (
  kind INTEGER NOT NULL,
  model TEXT NOT NULL,
  state_id INTEGER NOT NULL,
  vector BLOB NOT NULL
);
CREATE UNIQUE INDEX vectors_by_state ON vectors (kind, model, state_id);
CREATE TABLE embedded (
  kind INTEGER NOT NULL,
  model TEXT NOT NULL,
  up_to INTEGER NOT NULL,
  PRIMARY KEY (kind, model)
) WITHOUT ROWID;

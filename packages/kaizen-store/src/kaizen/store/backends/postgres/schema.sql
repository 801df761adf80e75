-- A state is an entity as one commit left it, and never changes; its key is the entity and the version of the
-- commit. entities names the current state of each entity; what came before is found through previous, so
-- that no content is stored twice. fields holds what a filter may ask of the current metadata. Everything of
-- a namespace is written under the lock of its row, so no foreign keys are needed to keep it together.
-- Ids are compared by code point (COLLATE "C"), as every backend does.
CREATE TEXT SEARCH DICTIONARY kaizen.stem (TEMPLATE = snowball, LANGUAGE = english);
CREATE TEXT SEARCH CONFIGURATION kaizen.words (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION kaizen.words
  ALTER MAPPING FOR asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part,
    hword_numpart WITH kaizen.stem;
CREATE TABLE kaizen.namespaces (
  ns bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE TABLE kaizen.commits (
  ns bigint NOT NULL,
  version bigint NOT NULL,
  id text NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL,
  run_id text,
  PRIMARY KEY (ns, version)
);
CREATE INDEX commits_by_run ON kaizen.commits (ns, hashtextextended(run_id, 0), version)
  WHERE run_id IS NOT NULL;
CREATE TABLE kaizen.states (
  ns bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  position integer NOT NULL,
  previous bigint,
  type text COLLATE "C",
  content text,
  metadata json,
  created_at timestamptz,
  updated_at timestamptz NOT NULL,
  revision integer,
  PRIMARY KEY (ns, entity_id, version)
);
CREATE UNIQUE INDEX states_by_version ON kaizen.states (ns, version, position);
CREATE TABLE kaizen.entities (
  ns bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  type text COLLATE "C" NOT NULL,
  words tsvector NOT NULL,
  PRIMARY KEY (ns, entity_id)
);
CREATE INDEX entities_by_type ON kaizen.entities (ns, type, entity_id);
CREATE INDEX entities_by_version ON kaizen.entities (ns, version, entity_id);
CREATE INDEX entities_by_words ON kaizen.entities USING gin (words);
CREATE TABLE kaizen.fields (
  ns bigint NOT NULL,
  path text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (ns, path, value, entity_id)
);
CREATE INDEX fields_by_entity ON kaizen.fields (ns, entity_id, path);
CREATE TABLE kaizen.models (
  model integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  dimension integer NOT NULL,
  UNIQUE (name, dimension)
);
CREATE TABLE kaizen.vectors (
  ns bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  model integer NOT NULL,
  embedding real[] NOT NULL,
  PRIMARY KEY (ns, entity_id, model)
);
CREATE TABLE kaizen.embedded (
  ns bigint NOT NULL,
  model integer NOT NULL,
  version bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (ns, model)
)

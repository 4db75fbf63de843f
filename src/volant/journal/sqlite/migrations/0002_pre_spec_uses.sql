ALTER TABLE specs ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX specs_by_use ON specs (used_at, spec);

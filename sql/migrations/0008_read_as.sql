-- depends: 0007_drift_by_method
-- A corrected declaration reads the same bytes otherwise: a file is known by how it was read, too.

alter table monitoring.source_file add column read_as text not null default '';
comment on column monitoring.source_file.read_as is
  'Digest of what the declaration said of the file''s columns and times when it was last read.';

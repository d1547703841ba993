-- Incidents say what kind of change they are, what to do, and why each revision was made.

alter table monitoring.incident
  add column change text not null default '',
  add column actions text[] not null default '{}',
  add column n_windows integer not null default 0 check (n_windows >= 0),
  add column reason text not null default '';
comment on column monitoring.incident.kind is 'Kind of its worst alarms: drift, quality, performance, volume, coverage or freshness.';
comment on column monitoring.incident.state is 'open, resolved, or retracted: late rows or labels changed what it rested on.';
comment on column monitoring.incident.opened_at is 'End of the first window it was seen in.';
comment on column monitoring.incident.columns is 'Columns it was seen in, those that moved most first.';
comment on column monitoring.incident.evidence is 'The alarms it rests on: their kinds, causes and largest sizes by column.';
comment on column monitoring.incident.resolved_at is 'End of the last quiet window that resolved it; when it was retracted.';
comment on column monitoring.incident.change is 'Kind of change, such as data fault, feature drift or concept drift; see docs/incidents.md.';
comment on column monitoring.incident.actions is 'What fits that kind of change.';
comment on column monitoring.incident.n_windows is 'Windows with an alarm.';
comment on column monitoring.incident.reason is 'Why this revision was made.';

create table monitoring.column_importance (
  monitor text not null references monitoring.monitor,
  model_version text not null,
  column_name text not null,
  importance double precision not null check (importance >= 0 and importance <= 1),
  source text not null check (source in ('declared', 'measured')),
  primary key (monitor, model_version, column_name)
);
comment on table monitoring.column_importance is 'How much a column matters to a model version; empty model_version: to all of them.';
comment on column monitoring.column_importance.importance is 'Share in [0, 1].';
comment on column monitoring.column_importance.source is 'declared in the monitor, or measured when the model was trained.';

-- Served features against recomputed ones.

create or replace view monitoring.parity_current as
select monitor, window_start, window_end, column_name, n_compared, n_differing,
       n_differing::double precision / nullif(n_compared, 0) as differing_share, n_unmatched, example, tolerance, data_version,
       code_version, run_id, computed_at
from monitoring.parity;
comment on view monitoring.parity_current is
  'Train-serve parity of each window: how many sampled values of each feature differ from the same feature computed again.';
comment on column monitoring.parity_current.differing_share is 'Differing share of the compared predictions, in [0, 1]; null: none was compared.';

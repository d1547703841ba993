-- Why did it not retrain?
-- What the policy said, how often in a row, and of each guard that held: what is lacking and when it lets go.
select d.monitor, d.as_of, d.decision, d.trigger, d.n_evaluations, d.last_evaluated_at, g.value ->> 'guard' as guard,
       g.value ->> 'sentence' as held_because, (g.value ->> 'free_at')::timestamptz as free_at, d.reason
from monitoring.retrain_decision_current d
left join lateral jsonb_array_elements(d.evidence -> 'guards') g on true
where d.decision <> 'retrain'
order by d.decided_at desc, d.monitor, guard
limit 50;

-- An agent's week, of complete days.
select
  operation,
  date_trunc('week', local_date) as week,
  agent_name,
  sum(hold_mute_count) as uses,
  sum(agents.hold_seconds) as hold_seconds,
  sum(agents.mute_seconds) as mute_seconds
from {{ source('wolkvox', 'agent_hold_mute_daily') }} as agents
join {{ ref('complete_days') }} using (operation, local_date)
group by all

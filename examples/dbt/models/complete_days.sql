-- An operation's day, only where all of its windows are known.
select operation, local_date, agents, hold_seconds, mute_seconds
from {{ source('wolkvox', 'operation_hold_mute_daily') }}
where complete

-- The hours of a day add up to the day, and no day stands in one overview alone.
{{ config(enabled=wherry.is_packaged('overview_hourly') and wherry.is_packaged('overview_daily')) }}

with
    hours as (
        select tenant, hour::date as day, sum(events) as events, sum(sessions) as sessions
        from {{ ref('overview_hourly') }}
        group by all
    )
select tenant, day, hours.events as events_by_hour, days.events as events_by_day
from hours
full join {{ ref('overview_daily') }} as days using (tenant, day)
where (hours.events, hours.sessions) is distinct from (days.events, days.sessions)

{{ config(
    enabled=wherry.is_packaged('session_statistics'),
    pre_hook="{{ wherry.forget(wherry.of_touched_days('day')) }}"
) }}
-- depends_on: {{ ref('touched_days') }}

select
    tenant,
    started_at::date as day,
    count(*) as sessions,
    avg(events) as mean_length,
    quantile_cont(events, 0.5) as median_length,
    quantile_cont(events, 0.95) as p95_length,
    avg(epoch_us(ended_at) - epoch_us(started_at)) / 1e6 as mean_duration_seconds,
    count(*) filter (where events = 1) / count(*) as bounce_share,
    count(*) filter (where is_purchase) / count(*) as conversion
from {{ ref('sessions') }}
where {{ wherry.within('started_at') }} and {{ wherry.of_touched_days('started_at::date') }}
group by all

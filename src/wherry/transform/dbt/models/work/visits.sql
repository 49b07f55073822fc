-- The session of each visitor in each bucket of time, for events without a session id.
--
-- Sorting all events by visitor and time would be the dearest step of a rebuild. Buckets as long as
-- the gap avoid it: events of one bucket always share a session, so grouping comes first,
-- and only the buckets (a fifth of the rows) are sorted. A session's id is made
-- from its first event, so it is the same in whatever order the events came.
{{ config(enabled=wherry.is_packaged('visits')) }}
-- depends_on: {{ ref('reopened_sessions') }}, {{ ref('touched_days') }}

with
    sessionless as (
        select tenant, visitor_id, occurred_at from {{ ref('new_events') }} where session_id is null
        {%- if not wherry.batch().is_full %}
        union all
        select tenant, visitor_id, occurred_at from ({{ wherry.events_of_reopened_sessions() }})
        {%- endif %}
    ),
    buckets as (
        select
            tenant,
            visitor_id,
            {{ wherry.bucket('occurred_at') }} as bucket,
            epoch_us(min(occurred_at)) as first_at,
            epoch_us(max(occurred_at)) as last_at
        from sessionless
        group by all
    ),
    idle as (
        select *, first_at - lag(last_at) over visitor as idle_before
        from buckets
        window visitor as (partition by tenant, visitor_id order by bucket)
    ),
    begun as (
        select
            *,
            max(case when idle_before is null or idle_before > {{ wherry.gap_microseconds() }} then first_at end)
                over (partition by tenant, visitor_id order by bucket rows unbounded preceding) as started_at
        from idle
    )
select tenant, visitor_id, bucket, visitor_id || '~' || epoch_ms(make_timestamp(started_at)) as session_id
from begun

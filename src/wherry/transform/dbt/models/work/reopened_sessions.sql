-- The sessions, as the last run left them, that new events touch: those with the same id, and
-- those of the same visitor that lie within the gap of an event without an id.
{{ config(enabled=wherry.is_packaged('reopened_sessions')) }}
-- depends_on: {{ ref('new_events') }}

{% if wherry.batch().is_full %}
select
    null::varchar as tenant, null::varchar as session_id,
    null::timestamp as started_at, null::timestamp as ended_at
where false
{% else %}
with
    -- Events in one bucket are less than the gap apart, so their first and last stand for all.
    arrived as (
        select tenant, visitor_id, session_id, min(occurred_at) as first_at, max(occurred_at) as last_at
        from {{ ref('new_events') }}
        group by tenant, visitor_id, session_id, {{ wherry.bucket('occurred_at') }}
    )
select session.tenant, session.session_id, session.started_at, session.ended_at
from {{ wherry.built('sessions') }} as session
join arrived using (tenant, visitor_id)
where arrived.session_id is null
  and not session.session_given
  and session.started_at <= arrived.last_at + to_microseconds({{ wherry.gap_microseconds() }})
  and session.ended_at >= arrived.first_at - to_microseconds({{ wherry.gap_microseconds() }})
union
select session.tenant, session.session_id, session.started_at, session.ended_at
from {{ wherry.built('sessions') }} as session
semi join arrived using (tenant, session_id)
{% endif %}

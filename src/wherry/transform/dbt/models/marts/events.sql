{{ config(
    enabled=wherry.is_packaged('events'),
    pre_hook="{{ wherry.forget(wherry.within('occurred_at') ~ ' and (tenant, event_id) in (select (tenant, event_id) from ' ~ ref('moved_events') ~ ')') }}"
) }}
-- depends_on: {{ ref('moved_events') }}, {{ ref('touched_days') }}

with
    arrived as (
        select
            events.* replace (coalesce(events.session_id, visits.session_id) as session_id),
            events.session_id is not null as session_given
        from {{ ref('new_events') }} as events
        left join {{ ref('visits') }} as visits
          on events.tenant = visits.tenant
         and case when events.session_id is null then events.visitor_id end = visits.visitor_id
         and {{ wherry.bucket('events.occurred_at') }} = visits.bucket
    )
select
    tenant, event_id, event_type, occurred_at, received_at, visitor_id, session_id, session_given,
    items, query, properties, transaction_id, revenue, load_id
from arrived
{%- if not wherry.batch().is_full %}
union all by name
select * exclude (old_session_id) from {{ ref('moved_events') }}
{%- endif %}

{{ config(
    enabled=wherry.is_packaged('sessions'),
    pre_hook="{{ wherry.forget(wherry.within('started_at') ~ ' and ' ~ wherry.of_changed_sessions()) }}"
) }}
-- depends_on: {{ ref('changed_sessions') }}, {{ ref('touched_days') }}

with
    happened as (
        select
            tenant,
            session_id,
            -- A given id may be shared by visitors; one of them has to stand for it.
            min(visitor_id) as visitor_id,
            bool_and(session_given) as session_given,
            min(occurred_at) as started_at,
            max(occurred_at) as ended_at,
            -- What a page shows is nothing that its visitor did.
            greatest(count(*) filter (where event_type <> 'impression'), 1) as events,
            count(*) filter (where event_type = 'view') as views,
            count(*) filter (where event_type = 'click') as clicks,
            count(*) filter (where event_type = 'add') as adds,
            count(*) filter (where event_type = 'remove') as removes,
            count(*) filter (where event_type = 'search') as searches,
            count(*) filter (where event_type = 'purchase') as purchases,
            coalesce(sum(revenue), 0)::double as revenue
        from {{ ref('events') }}
        where {{ wherry.within('occurred_at') }} and {{ wherry.of_changed_sessions() }}
        group by all
    ),
    seen as (
        select tenant, session_id, count(distinct item_id) as items
        from {{ ref('interactions') }}
        where {{ wherry.within('occurred_at') }} and {{ wherry.of_changed_sessions() }}
        group by all
    )
select
    happened.*,
    coalesce(seen.items, 0) as items,
    happened.purchases > 0 as is_purchase
from happened
left join seen using (tenant, session_id)

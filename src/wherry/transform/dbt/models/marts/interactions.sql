{{ config(
    enabled=wherry.is_packaged('interactions'),
    pre_hook="{{ wherry.forget(wherry.within('occurred_at') ~ ' and (tenant, event_id) in (select (tenant, event_id) from ' ~ ref('moved_events') ~ ')') }}"
) }}
-- depends_on: {{ ref('events') }}, {{ ref('moved_events') }}, {{ ref('touched_days') }}

with
    exploded as (
        select *, unnest(items) as item, generate_subscripts(items, 1) as position
        from {{ wherry.delta() }}
        where event_type in ('view', 'click', 'add', 'purchase')
    )
select
    tenant, session_id, visitor_id,
    trim(item.id) as item_id,
    event_type, occurred_at,
    item.price as price,
    item.quantity as quantity,
    event_id, position, load_id
from exploded
where trim(item.id) <> ''

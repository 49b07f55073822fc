-- The events that follow the touched answers, with every answer that each of them follows: one
-- row for an answer, an event and an item of it. An event without items has one row with none.
{{ config(enabled=wherry.has_outcomes('contacts')) }}

with
    touched as (
        select tenant, answer_id, request_id, answered_at, visitor_id, session_id, last_item, role, error
        from {{ ref('touched_answers') }}
    ),
    followed as (select * from {{ wherry.following_events() }}),
    {%- if wherry.outcomes_anew() %}
    answers as (select * from touched),
    events as (select * from followed),
    {%- else %}
    answers as (
        select * from touched
        union all by name
        select tenant, answer_id, request_id, answered_at, visitor_id, session_id, last_item, role, error
        from {{ wherry.built('answers') }}
        where {{ wherry.near_batch('answered_at') }}
          and (tenant, answer_id) not in (select (tenant, answer_id) from touched)
    ),
    events as (
        select * from followed
        where (tenant, event_id) in (select (tenant, event_id) from {{ wherry.links('touched', 'followed') }})
    ),
    {%- endif %}
    pairs as (select * from {{ wherry.links('answers', 'events') }}),
    told as (select *, unnest(range(1, greatest(len(items), 1) + 1)) as place from events)
select
    pairs.*,
    answers.answered_at,
    answers.role <> 'shadow' and answers.error is null as is_shown,
    answers.last_item,
    told.event_type,
    told.occurred_at,
    told.place,
    nullif(trim(told.items[told.place].id), '') as item_id,
    try_cast(
        told.items[told.place].price * coalesce(told.items[told.place].quantity, 1) as decimal(18, 4)
    ) as revenue
from pairs
join answers using (tenant, answer_id)
join told using (tenant, event_id)

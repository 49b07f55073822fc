-- Every answer, with what came of it; `next_item` is what its visitor went on to, apart from the
-- item that the answer was asked about, and `next_position` the place where that was shown.
{{ config(
    enabled=wherry.has_outcomes('answers'),
    pre_hook="{{ wherry.forget_outcomes(wherry.near_batch('answered_at') ~ ' and ' ~ wherry.is_touched()) }}"
) }}
-- depends_on: {{ ref('events') }}

with
    outcomes as (
        select
            tenant, answer_id,
            min(impressed_at) as impressed_at,
            min(clicked_at) as clicked_at,
            min(added_at) as added_at,
            min(purchased_at) as purchased_at,
            sum(revenue) as revenue
        from {{ ref('shown_items') }}
        where {{ wherry.near_batch('answered_at') }}
          and (tenant, answer_id) in (select (tenant, answer_id) from {{ ref('touched_answers') }})
        group by all
    ),
    following as (
        select tenant, answer_id, occurred_at as next_at, item_id as next_item
        from {{ ref('contacts') }}
        where event_type <> 'impression' and item_id is not null and item_id is distinct from last_item
        qualify row_number() over (
            partition by tenant, answer_id order by occurred_at, event_id, place
        ) = 1
    ),
    placed as (
        select tenant, answer_id, item_id as next_item, min(position) as next_position
        from {{ ref('shown_items') }}
        where {{ wherry.near_batch('answered_at') }}
          and (tenant, answer_id, item_id) in (select (tenant, answer_id, next_item) from following)
        group by all
    )
select
    touched.* exclude (is_new),
    -- Answers to one visitor are no independent trials.
    coalesce(visitor_id, session_id, answer_id) as who,
    outcomes.impressed_at,
    outcomes.clicked_at,
    outcomes.added_at,
    outcomes.purchased_at,
    coalesce(outcomes.revenue, 0)::decimal(38, 4) as revenue,
    following.next_at,
    following.next_item,
    placed.next_position
from {{ ref('touched_answers') }} as touched
left join outcomes using (tenant, answer_id)
left join following using (tenant, answer_id)
left join placed using (tenant, answer_id, next_item)

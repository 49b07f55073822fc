-- What came of each item shown. An event counts for one answer: the one that it names, if that
-- showed the item, else the newest before it that did.
{{ config(
    enabled=wherry.has_outcomes('shown_items'),
    pre_hook="{{ wherry.forget_outcomes(wherry.near_batch('answered_at') ~ ' and ' ~ wherry.is_touched()) }}"
) }}
-- depends_on: {{ ref('touched_answers') }}, {{ ref('earlier_items') }}, {{ ref('events') }}

with
    told as (
        select
            tenant, answer_id, answered_at, place as position, trim(items[place]) as item_id,
            model, version, role, rollout,
            scores[place] as score,
            coalesce(propensities[place], 1)::float as propensity,
            place <= from_model as by_model,
            load_id
        from (select *, unnest(range(1, len(items) + 1)) as place from {{ wherry.told_answers() }})
    ),
    shown as (
        select * from told
        {%- if not wherry.outcomes_anew() %}
        union all by name
        select * from {{ ref('earlier_items') }}
        {%- endif %}
    ),
    candidates as (
        select tenant, answer_id, item_id from shown
        {%- if not wherry.outcomes_anew() %}
        union all
        select tenant, answer_id, item_id from {{ this }}
        where {{ wherry.near_batch('answered_at') }}
          and (tenant, answer_id) in (select (tenant, answer_id) from {{ ref('contacts') }})
        {%- endif %}
    ),
    credited as (
        select contacts.*
        from {{ ref('contacts') }} as contacts
        semi join candidates using (tenant, answer_id, item_id)
        where contacts.is_shown
        qualify row_number() over (
            partition by tenant, event_id, place
            order by names_request desc, answered_at desc, answer_id desc
        ) = 1
    ),
    outcomes as (
        select
            tenant, answer_id, item_id,
            min(occurred_at) filter (where event_type = 'impression') as impressed_at,
            min(occurred_at) filter (where event_type in ('{{ var('clicks') | join("', '") }}')) as clicked_at,
            min(occurred_at) filter (where event_type = 'add') as added_at,
            min(occurred_at) filter (where event_type = 'purchase') as purchased_at,
            sum(revenue) filter (where event_type = 'purchase') as revenue
        from credited
        group by all
    ),
    -- An impression that names no item is one of the whole answer.
    impressions as (
        select tenant, answer_id, min(occurred_at) as impressed_at
        from {{ ref('contacts') }}
        where event_type = 'impression' and names_request and item_id is null and is_shown
        group by all
    )
select
    shown.*,
    least(outcomes.impressed_at, impressions.impressed_at) as impressed_at,
    outcomes.clicked_at,
    outcomes.added_at,
    outcomes.purchased_at,
    coalesce(outcomes.revenue, 0)::decimal(38, 4) as revenue
from shown
left join outcomes using (tenant, answer_id, item_id)
left join impressions using (tenant, answer_id)

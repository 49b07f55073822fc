-- The figures of each day, by release and slice; those of a position count items, all others
-- answers. Beside each sum stand that of its square and of its product with its base, by
-- visitor: with these the interval of a ratio can be had over any days. All are exact, so that
-- a rebuild gives the same.
{{ config(
    enabled=wherry.has_outcomes('outcome_daily'),
    pre_hook="{{ wherry.forget_outcomes(wherry.of_answered_days('day')) }}"
) }}
-- depends_on: {{ ref('touched_answers') }}

{%- set part = 'tenant, day, model, version, role, rollout, slice, value' %}
{%- set of_answers = ['clicks', 'adds', 'purchases', 'revenue'] %}
{%- set of_followed = ['hits_5', 'hits_10', 'hits_20', 'reciprocal_rank'] %}

with
    sliced as (
        select
            *,
            unnest([
                {slice: 'all', value: 'all'},
                {
                    slice: 'session',
                    value: case when session_length < 2 then session_length::varchar when session_length < 5 then '2-4' else '5+' end
                },
                {
                    slice: 'source',
                    value: case
                        when error is not null then 'error'
                        when shown = 0 then 'nothing'
                        when fallback is null then 'model'
                        when from_model = 0 then fallback
                        else 'model, ' || fallback
                    end
                }
            ], recursive := true)
        from {{ ref('answers') }}
        where {{ wherry.of_answered_days('answered_at::date', 'answered_at') }}
    ),
    by_visitor as (
        select
            tenant, answered_at::date as day, model, version, role, rollout, slice, value, who,
            count(*) as answers,
            count(error) as errors,
            count(impressed_at) as impressions,
            count(clicked_at) as clicks,
            count(added_at) as adds,
            count(purchased_at) as purchases,
            sum(revenue)::decimal(18, 4) as revenue,
            count(next_item) as followed,
            count(*) filter (where next_position <= 5) as hits_5,
            count(*) filter (where next_position <= 10) as hits_10,
            count(*) filter (where next_position <= 20) as hits_20,
            coalesce(sum((1 / next_position)::decimal(7, 6)), 0)::decimal(18, 6) as reciprocal_rank
        from sliced
        group by all
        union all by name
        select
            items.tenant, items.answered_at::date as day, items.model, items.version, items.role, items.rollout,
            'position' as slice, items.position::varchar as value, answers.who,
            count(*) as answers,
            0 as errors,
            count(items.impressed_at) as impressions,
            count(items.clicked_at) as clicks,
            count(items.added_at) as adds,
            count(items.purchased_at) as purchases,
            sum(items.revenue)::decimal(18, 4) as revenue,
            count(answers.next_item) as followed,
            count(*) filter (where answers.next_position = items.position and items.position <= 5) as hits_5,
            count(*) filter (where answers.next_position = items.position and items.position <= 10) as hits_10,
            count(*) filter (where answers.next_position = items.position and items.position <= 20) as hits_20,
            coalesce(sum((1 / answers.next_position)::decimal(7, 6)) filter (where answers.next_position = items.position), 0)::decimal(18, 6) as reciprocal_rank
        from {{ ref('shown_items') }} as items
        join {{ ref('answers') }} as answers using (tenant, answer_id)
        where {{ wherry.of_answered_days('items.answered_at::date', 'items.answered_at', 'items') }}
          and {{ wherry.of_answered_days('answers.answered_at::date', 'answers.answered_at', 'answers') }}
        group by all
    )
select
    {{ part }},
    count(*) as visitors,
    {%- for sum in ['answers', 'errors', 'impressions', 'clicks', 'adds', 'purchases', 'followed', 'hits_5', 'hits_10', 'hits_20'] %}
    sum({{ sum }})::bigint as {{ sum }},
    {%- endfor %}
    sum(revenue)::decimal(38, 4) as revenue,
    sum(reciprocal_rank)::decimal(38, 6) as reciprocal_rank,
    sum(answers * answers)::bigint as answers_squared,
    sum(followed * followed)::bigint as followed_squared,
    {%- for sum in of_answers %}
    sum({{ sum }} * {{ sum }})::{{ 'decimal(38, 8)' if sum == 'revenue' else 'bigint' }} as {{ sum }}_squared,
    sum({{ sum }} * answers)::{{ 'decimal(38, 4)' if sum == 'revenue' else 'bigint' }} as {{ sum }}_product,
    {%- endfor %}
    {%- for sum in of_followed %}
    sum({{ sum }} * {{ sum }})::{{ 'decimal(38, 12)' if sum == 'reciprocal_rank' else 'bigint' }} as {{ sum }}_squared,
    sum({{ sum }} * followed)::{{ 'decimal(38, 6)' if sum == 'reciprocal_rank' else 'bigint' }} as {{ sum }}_product{{ ',' if not loop.last }}
    {%- endfor %}
from by_visitor
group by all

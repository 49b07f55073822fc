-- The answers whose outcome this run may change: those that are new, those that a new event
-- follows, and those that share an event with a new one, as each event counts for one answer.
{{ config(enabled=wherry.has_outcomes('touched_answers')) }}
-- depends_on: {{ ref('events') }}

with
    told as (
        select * exclude (items, scores, propensities), true as is_new from {{ wherry.told_answers() }}
    )
{%- if not wherry.outcomes_anew() %},
    earlier as (
        select * exclude (
            who, impressed_at, clicked_at, added_at, purchased_at, revenue, next_at, next_item, next_position
        )
        from {{ wherry.built('answers') }}
        where {{ wherry.near_batch('answered_at') }}
    ),
    followed as (select * from {{ wherry.following_events() }}),
    drawn as (
        select * from followed
        where {{ wherry.in_batch() }}
           or (tenant, event_id) in (select (tenant, event_id) from {{ wherry.links('told', 'followed') }})
    )
{%- endif %}
select * from told
{%- if not wherry.outcomes_anew() %}
union all by name
select *, false as is_new from earlier
where (tenant, answer_id) in (select (tenant, answer_id) from {{ wherry.links('earlier', 'drawn') }})
{%- endif %}

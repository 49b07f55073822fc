{#-
  What came of the answers. An event follows an answer if it is the same visitor's or the same
  session's, within the attribution window after it, or if it names the answer's request
  (`properties.request_id`) and lies within the window around it.
-#}
{% macro has_outcomes(name) -%}
    {#- Whether this model is built: a shop that logs no answers pays for none of these. -#}
    {{ return(var('has_answers') and wherry.is_packaged(name)) }}
{%- endmacro %}


{% macro window_microseconds() -%}
    {{ [(var('attribution_minutes') | float * 60000000) | round | int, 1] | max }}
{%- endmacro %}


{% macro outcomes_anew() -%}
    {#- Whether there is nothing yet that this run could go on from. -#}
    {{ return(not execute or wherry.batch().outcomes_anew) }}
{%- endmacro %}


{% macro forget_outcomes(condition) -%}
    {%- if not wherry.outcomes_anew() -%}
        delete from {{ this }} where {{ condition }}
    {%- endif -%}
{%- endmacro %}


{% macro near_batch(column) -%}
    {#-
      A condition that lets DuckDB skip the files of times that this run's events and answers
      can't reach: from one to the next it is a window at the most, and these are four steps.
    -#}
    {%- if wherry.outcomes_anew() -%}
        true
    {%- else -%}
        {%- set reach = 'to_microseconds(' ~ 4 * (wherry.window_microseconds() | int) ~ ')' -%}
        {%- set row = run_query(
            'select min(moment) - ' ~ reach ~ ', max(moment) + ' ~ reach ~ ' from ('
            ~ 'select occurred_at as moment from ' ~ source('raw', 'events') ~ ' where ' ~ wherry.in_batch()
            ~ " and lower(trim(event_type)) in ('view', 'click', 'add', 'purchase', 'impression')"
            ~ ' union all select answered_at from ' ~ source('raw', 'answers') ~ ' where ' ~ wherry.in_batch() ~ ')'
        ).rows[0] -%}
        {%- if row[0] is none -%}
            false
        {%- else -%}
            {{ column }} >= timestamp '{{ row[0] }}' and {{ column }} <= timestamp '{{ row[1] }}'
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro told_answers() -%}
    {#- The answers of the batch, cleaned; `answer_id` says the batch of the log and the place in it. -#}
    (select
        tenant,
        batch_id || '.' || place as answer_id,
        request_id,
        answered_at,
        model,
        version,
        role,
        nullif(rollout, '') as rollout,
        nullif(trim(visitor_id), '') as visitor_id,
        nullif(trim(session_id), '') as session_id,
        len(session) as session_length,
        trim(session[-1]) as last_item,
        is_live,
        k,
        len(items) as shown,
        from_model,
        nullif(fallback, '') as fallback,
        latency_us,
        nullif(error, '') as error,
        items,
        scores,
        propensities,
        load_id
    from {{ source('raw', 'answers') }}
    where {{ wherry.in_batch() }})
{%- endmacro %}


{% macro following_events() -%}
    {#- The events that may follow an answer, with what they share with it. -#}
    (select
        tenant, event_id, event_type, occurred_at, visitor_id,
        case when session_given then session_id end as session_id,
        case
            when contains(properties, 'request_id')
            then nullif(trim(try(json_extract_string(properties, '$.request_id'))), '')
        end as request_id,
        items,
        load_id
    from {{ ref('events') }}
    where event_type in ('view', 'click', 'add', 'purchase', 'impression') and {{ wherry.near_batch('occurred_at') }})
{%- endmacro %}


{% macro links(answers, events) -%}
    {#-
      Which of some events follow which of some answers: their ids, and whether the event names
      the request. Times are compared piece by piece, each as long as the window, so that the
      thousand answers of one robot do not meet each of its thousand events.
    -#}
    {%- set window = wherry.window_microseconds() -%}
    (select tenant, answer_id, event_id, bool_or(names_request) as names_request
    from (
        {%- for shared in ['visitor_id', 'session_id'] %}
        select answer.tenant, answer.answer_id, event.event_id, false as names_request
        from (
            select
                tenant, answer_id, {{ shared }}, answered_at,
                unnest([epoch_us(answered_at) // {{ window }}, epoch_us(answered_at) // {{ window }} + 1]) as piece
            from {{ answers }} where {{ shared }} is not null
        ) as answer
        join (
            select tenant, event_id, {{ shared }}, occurred_at, epoch_us(occurred_at) // {{ window }} as piece
            from {{ events }} where {{ shared }} is not null
        ) as event
        using (tenant, {{ shared }}, piece)
        where event.occurred_at >= answer.answered_at
          and event.occurred_at < answer.answered_at + to_microseconds({{ window }})
        union all
        {%- endfor %}
        select answer.tenant, answer.answer_id, event.event_id, true
        from {{ answers }} as answer
        join {{ events }} as event using (tenant, request_id)
        where abs(epoch_us(event.occurred_at) - epoch_us(answer.answered_at)) < {{ window }}
    )
    group by tenant, answer_id, event_id)
{%- endmacro %}


{% macro is_touched() -%}
    (tenant, answer_id) in (select (tenant, answer_id) from {{ ref('touched_answers') }})
{%- endmacro %}


{% macro of_answered_days(day, at=none, table=none) -%}
    {#- A condition on a table with tenant and a day: the days of the touched answers. -#}
    {%- if wherry.outcomes_anew() -%}
        true
    {%- else -%}
        {%- set row = run_query(
            'select min(answered_at)::date, max(answered_at)::date + 1 from ' ~ ref('touched_answers')
        ).rows[0] -%}
        {%- if row[0] is none -%}
            false
        {%- else -%}
            {%- set at = at or day %}
            {{ at }} >= timestamp '{{ row[0] }}' and {{ at }} < timestamp '{{ row[1] }}'
            and ({{ table ~ '.' if table }}tenant, {{ day }}) in (select (tenant, answered_at::date) from {{ ref('touched_answers') }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

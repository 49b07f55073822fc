{% macro gap_microseconds() -%}
    {{ [(var('gap_minutes') | float * 60000000) | round | int, 1] | max }}
{%- endmacro %}


{% macro bucket(at) -%}
    {#- Time in pieces as long as the gap: two events of a visitor in one piece are never a gap apart. -#}
    time_bucket(to_microseconds({{ wherry.gap_microseconds() }}), {{ at }})
{%- endmacro %}


{% macro events_of_reopened_sessions() -%}
    {#- Sessionised events, as the last run left them, that new events may regroup. -#}
    select * from {{ wherry.built('events') }}
    where not session_given
      and {{ wherry.within('occurred_at') }}
      and (tenant, session_id) in (select (tenant, session_id) from {{ ref('reopened_sessions') }})
{%- endmacro %}

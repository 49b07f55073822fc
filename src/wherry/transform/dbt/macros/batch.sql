{#-
  What this run has to do: rebuild everything, or take the loads after `after` up to `until` into
  what is built. It is told to the runs of models and tests alone; the parse before them knows
  nothing of it, because a changed variable makes dbt parse the project again.
-#}
{% macro batch() -%}
    {%- set whole = {'is_full': true, 'after': 0, 'until': 0, 'checks_all': true, 'outcomes_anew': true} -%}
    {{ return(var('batch') if execute else whole) }}
{%- endmacro %}


{% macro in_batch(column='load_id') -%}
    {#- The loads that this run takes in, less those that the settings leave out. -#}
    {%- set batch = wherry.batch() -%}
    {{ column }} > {{ batch.after }} and {{ column }} <= {{ batch.until }}
    {%- if var('exclude_loads') %} and {{ column }} not in ({{ var('exclude_loads') | join(', ') }}){% endif -%}
{%- endmacro %}


{% macro built(model) -%}
    {#- A mart as the last run left it. Not a ref(): the mart itself depends on the caller. -#}
    {{ target.database }}.marts.{{ model }}
{%- endmacro %}


{% macro delta() -%}
    {#- The events that are new, or whose session is another than before; all on a rebuild. -#}
    {%- if wherry.batch().is_full -%}
        {{ ref('events') }}
    {%- else -%}
        (select * from {{ ref('events') }} where {{ wherry.in_batch() }}
         union all by name
         select * exclude (old_session_id) from {{ ref('moved_events') }})
    {%- endif -%}
{%- endmacro %}


{% macro within(column) -%}
    {#-
      A condition that lets DuckDB skip the files and row groups of days that nothing touched:
      the touched days as ranges of literals. Many ranges cost more to test than they save.
    -#}
    {%- if not execute or wherry.batch().is_full -%}
        true
    {%- else -%}
        {%- set ranges = run_query(
            'select min(day) as first_day, max(day) + 1 as end_day from '
            ~ '(select day, day - row_number() over (order by day)::integer as island from '
            ~ '(select distinct day from ' ~ ref('touched_days') ~ ')) group by island order by 1'
        ).rows -%}
        {%- if ranges | length == 0 -%}
            false
        {%- elif ranges | length > 50 -%}
            {{ column }} >= timestamp '{{ ranges[0][0] }}' and {{ column }} < timestamp '{{ ranges[-1][1] }}'
        {%- else -%}
            (
            {%- for range in ranges -%}
                {{ column }} >= timestamp '{{ range[0] }}' and {{ column }} < timestamp '{{ range[1] }}'
                {%- if not loop.last %} or {% endif -%}
            {%- endfor -%}
            )
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro of_changed_sessions() -%}
    {#- A condition on a table with tenant and session_id; everything on a rebuild. -#}
    {%- if wherry.batch().is_full -%}
        true
    {%- else -%}
        (tenant, session_id) in (select (tenant, session_id) from {{ ref('changed_sessions') }})
    {%- endif -%}
{%- endmacro %}


{% macro of_touched_days(day) -%}
    {#- A condition on a table with tenant and a day; everything on a rebuild. -#}
    {%- if wherry.batch().is_full -%}
        true
    {%- else -%}
        (tenant, {{ day }}) in (select (tenant, day) from {{ ref('touched_days') }})
    {%- endif -%}
{%- endmacro %}


{% macro forget(condition) -%}
    {#- Delete the rows of this model that this run makes anew; a rebuild replaces the table. -#}
    {%- if execute and not wherry.batch().is_full -%}
        delete from {{ this }} where {{ condition }}
    {%- endif -%}
{%- endmacro %}

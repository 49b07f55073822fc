{#-
  The packaged tests. Each returns rows with the tenant, so that a fault blocks only the tenant
  that has it. They look at the touched days; at everything on a rebuild, and for as long as a
  test of the run before failed, so that no fault slips out of view.
-#}
{% macro in_scope(at) -%}
    {{ 'true' if wherry.batch().checks_all else wherry.within(at) }}
{%- endmacro %}


{% test key(model, columns, at=none) %}
-- depends_on: {{ ref('touched_days') }}
{%- set key = columns | join(', ') %}
with
    suspects as (
        select hash({{ key }}) as key_hash
        from {{ model }}
        {%- if at and not wherry.batch().checks_all %}
        semi join (select {{ key }} from {{ model }} where {{ wherry.in_scope(at) }}) as touched
        using ({{ key }})
        {%- endif %}
        group by 1 having count(*) > 1
    )
select {{ key }}, count(*) as occurrences
from {{ model }}
where hash({{ key }}) in (select key_hash from suspects)
group by all having count(*) > 1
{% endtest %}


{% test present(model, columns, at) %}
-- depends_on: {{ ref('touched_days') }}
select * from {{ model }}
where ({{ columns | join(' is null or ') }} is null) and {{ wherry.in_scope(at) }}
{% endtest %}


{% test holds(model, condition, at) %}
-- depends_on: {{ ref('touched_days') }}
select * from {{ model }}
where not coalesce({{ condition }}, false) and {{ wherry.in_scope(at) }}
{% endtest %}


{% test belongs_to(model, parent, columns, at) %}
-- depends_on: {{ ref('touched_days') }}
select child.*
from (select * from {{ model }} where {{ wherry.in_scope(at) }}) as child
anti join {{ parent }} using ({{ columns | join(', ') }})
{% endtest %}

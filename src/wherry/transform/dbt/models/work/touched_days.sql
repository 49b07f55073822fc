-- Every day on which this run may change a figure: those of the new events, and those that a
-- reopened session spans.
{{ config(enabled=wherry.is_packaged('touched_days')) }}
-- depends_on: {{ ref('new_events') }}, {{ ref('reopened_sessions') }}

{% if wherry.batch().is_full %}
select null::varchar as tenant, null::date as day where false
{% else %}
select tenant, occurred_at::date as day from {{ ref('new_events') }}
union
select tenant, unnest(generate_series(started_at::date, ended_at::date, interval 1 day))::date
from {{ ref('reopened_sessions') }}
{% endif %}

-- The items that touched answers of earlier batches showed, put by: their rows are written anew.
{{ config(enabled=wherry.has_outcomes('earlier_items')) }}
-- depends_on: {{ ref('touched_answers') }}, {{ ref('events') }}

{% if wherry.outcomes_anew() %}
select null::varchar as tenant, null::varchar as answer_id where false
{% else %}
select * exclude (impressed_at, clicked_at, added_at, purchased_at, revenue)
from {{ wherry.built('shown_items') }}
where {{ wherry.near_batch('answered_at') }} and {{ wherry.is_touched() }}
{% endif %}

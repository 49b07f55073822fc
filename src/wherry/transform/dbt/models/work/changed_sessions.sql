-- The ids of sessions that are new, have new events, or are no more.
{{ config(enabled=wherry.is_packaged('changed_sessions')) }}
-- depends_on: {{ ref('events') }}, {{ ref('moved_events') }}

{% if wherry.batch().is_full %}
select null::varchar as tenant, null::varchar as session_id where false
{% else %}
select tenant, session_id from {{ wherry.delta() }}
union
select tenant, old_session_id from {{ ref('moved_events') }}
{% endif %}

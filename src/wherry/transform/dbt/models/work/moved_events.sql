-- Events of earlier batches whose session is another now: a late event made it start earlier,
-- or joined it to the one before.
{{ config(enabled=wherry.is_packaged('moved_events')) }}
-- depends_on: {{ ref('reopened_sessions') }}, {{ ref('touched_days') }}, {{ ref('visits') }}

{% if wherry.batch().is_full %}
select null::varchar as tenant, null::varchar as event_id, null::varchar as old_session_id where false
{% else %}
select events.* replace (visits.session_id as session_id), events.session_id as old_session_id
from ({{ wherry.events_of_reopened_sessions() }}) as events
join {{ ref('visits') }} as visits
  on events.tenant = visits.tenant
 and events.visitor_id = visits.visitor_id
 and {{ wherry.bucket('events.occurred_at') }} = visits.bucket
where events.session_id <> visits.session_id
{% endif %}

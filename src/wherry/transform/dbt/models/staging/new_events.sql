-- The events of the batch that were not there yet, each once.
{{ config(enabled=wherry.is_packaged('new_events')) }}

select * from {{ ref('stg_events') }}
anti join {{ ref('repeated_events') }} using (tenant, event_id)
union all by name
select * exclude (is_known) from {{ ref('repeated_events') }} where not is_known

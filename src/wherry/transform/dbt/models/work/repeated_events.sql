-- Ids that were told more than once, each with the first telling in this batch; `is_known` where
-- an earlier batch told it already. Few ids repeat, so they are found by the hash of their id
-- first, and only rows under a repeated hash are compared as they are: a collision loses nothing.
{{ config(enabled=wherry.is_packaged('repeated_events')) }}

with
    {%- if wherry.batch().is_full %}
    known as (select null::varchar as tenant, null::varchar as event_id where false),
    {%- else %}
    known as (
        -- Compared as they are: an id that begins with a time or a counter lets DuckDB skip.
        select tenant, event_id from {{ wherry.built('events') }}
        semi join {{ ref('stg_events') }} using (tenant, event_id)
    ),
    {%- endif %}
    repeated as (
        select hash(tenant, event_id) as id_hash from {{ ref('stg_events') }}
        group by 1 having count(*) > 1
        union
        select hash(tenant, event_id) from known
    )
select
    events.*,
    (tenant, event_id) in (select (tenant, event_id) from known) as is_known
from {{ ref('stg_events') }} as events
where hash(tenant, event_id) in (select id_hash from repeated)
qualify row_number() over (
    partition by tenant, event_id
    order by
        load_id, received_at, occurred_at, event_type, visitor_id, session_id, query, properties,
        items::varchar
) = 1

-- The events of the batch, cleaned: ids trimmed, an empty text is none, types in lower case.
{{ config(enabled=wherry.is_packaged('stg_events')) }}

with
    trimmed as (
        select
            tenant,
            trim(event_id) as event_id,
            lower(trim(event_type)) as event_type,
            occurred_at,
            received_at,
            nullif(trim(visitor_id), '') as visitor_id,
            nullif(trim(session_id), '') as session_id,
            coalesce(items, []) as items,
            nullif(trim(query), '') as query,
            properties,
            load_id
        from {{ source('raw', 'events') }}
        where {{ wherry.in_batch() }}
    )
select
    * replace (coalesce(visitor_id, session_id) as visitor_id),
    case
        when event_type = 'purchase'
        then coalesce(try(json_extract_string(properties, '$.transaction_id')), event_id)
    end as transaction_id,
    -- Exact decimals: a sum of floats would depend on the order of its terms.
    case
        when event_type = 'purchase'
        then list_sum(list_transform(
            items, lambda item: try_cast(item.price * coalesce(item.quantity, 1) as decimal(18, 4))
        ))::decimal(38, 4)
    end as revenue
from trimmed

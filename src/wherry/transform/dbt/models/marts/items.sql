-- Every item that was interacted with or that the catalogue holds; the newest telling wins.
-- What a catalogue says of availability gives way to what was told over HTTP after it, and to all
-- that was if it says nothing.
{{ config(
    enabled=wherry.is_packaged('items'),
    incremental_strategy='delete+insert',
    unique_key=['tenant', 'item_id']
) }}

with
    seen as (
        select
            tenant,
            item_id,
            min(occurred_at) as first_seen_at,
            max(occurred_at) as last_seen_at,
            count(*) filter (where event_type = 'view') as views,
            count(*) filter (where event_type = 'click') as clicks,
            count(*) filter (where event_type = 'add') as adds,
            count(*) filter (where event_type = 'purchase') as purchases
        from {{ ref('interactions') }}
        where {{ wherry.in_batch() }}
        group by all
    ),
    listed as (
        select
            tenant, trim(item_id) as item_id, name, category, price,
            available as listed_available, attributes, received_at as told_at
        from {{ source('raw', 'items') }}
        where {{ wherry.in_batch() }} and trim(item_id) <> ''
        qualify row_number() over (
            partition by tenant, trim(item_id)
            order by received_at desc, load_id desc, name, category, price, available, attributes
        ) = 1
    ),
    live as (
        select
            tenant, trim(item_id) as item_id, available as live_available,
            received_at as live_told_at
        from {{ source('raw', 'availability') }}
        where {{ wherry.in_batch() }} and trim(item_id) <> ''
        qualify row_number() over (
            partition by tenant, trim(item_id) order by received_at desc, load_id desc, available
        ) = 1
    ),
    arrived as (
        select * from listed full join live using (tenant, item_id) full join seen using (tenant, item_id)
    ),
{%- if wherry.batch().is_full %}
    known as (
        select
            tenant, item_id, name, category, price, listed_available, attributes, told_at,
            live_available, live_told_at, first_seen_at, last_seen_at,
            coalesce(views, 0) as views,
            coalesce(clicks, 0) as clicks,
            coalesce(adds, 0) as adds,
            coalesce(purchases, 0) as purchases
        from arrived
    )
{%- else %}
    known as (
        select
            tenant, item_id,
            {%- for column in ['name', 'category', 'price', 'listed_available', 'attributes', 'told_at'] %}
            case when fresh.told_at >= coalesce(old.told_at, fresh.told_at) then fresh.{{ column }} else old.{{ column }} end as {{ column }},
            {%- endfor %}
            {%- for column in ['live_available', 'live_told_at'] %}
            case when fresh.live_told_at >= coalesce(old.live_told_at, fresh.live_told_at) then fresh.{{ column }} else old.{{ column }} end as {{ column }},
            {%- endfor %}
            least(fresh.first_seen_at, old.first_seen_at) as first_seen_at,
            greatest(fresh.last_seen_at, old.last_seen_at) as last_seen_at,
            {%- for column in ['views', 'clicks', 'adds', 'purchases'] %}
            coalesce(fresh.{{ column }}, 0) + coalesce(old.{{ column }}, 0) as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from arrived as fresh
        left join {{ this }} as old using (tenant, item_id)
    )
{%- endif %}
select
    tenant, item_id, name, category, price,
    case when is_live then live_available else listed_available end as available,
    attributes, told_at,
    told_at is not null as in_catalogue,
    first_seen_at, last_seen_at, views, clicks, adds, purchases,
    case
        when is_live then live_told_at
        when listed_available is not null then told_at
    end as available_told_at,
    listed_available, live_available, live_told_at
from (
    select
        *,
        live_told_at is not null and (
            told_at is null or listed_available is null or live_told_at >= told_at
        ) as is_live
    from known
)

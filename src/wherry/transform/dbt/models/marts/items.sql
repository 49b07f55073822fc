-- Every item that was interacted with or that the catalogue holds; the newest telling wins.
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
    told as (
        select
            tenant, trim(item_id) as item_id, name, category, price, available, attributes,
            received_at as told_at
        from {{ source('raw', 'items') }}
        where {{ wherry.in_batch() }} and trim(item_id) <> ''
        qualify row_number() over (
            partition by tenant, trim(item_id)
            order by received_at desc, load_id desc, name, category, price, available, attributes
        ) = 1
    ),
    arrived as (select * from told full join seen using (tenant, item_id))
{%- if wherry.batch().is_full %}
select
    tenant, item_id, name, category, price, available, attributes, told_at,
    told_at is not null as in_catalogue,
    first_seen_at, last_seen_at,
    coalesce(views, 0) as views,
    coalesce(clicks, 0) as clicks,
    coalesce(adds, 0) as adds,
    coalesce(purchases, 0) as purchases
from arrived
{%- else %}
select
    tenant, item_id,
    {%- for column in ['name', 'category', 'price', 'available', 'attributes', 'told_at'] %}
    case when fresh.told_at >= coalesce(old.told_at, fresh.told_at) then fresh.{{ column }} else old.{{ column }} end as {{ column }},
    {%- endfor %}
    fresh.told_at is not null or old.told_at is not null as in_catalogue,
    least(fresh.first_seen_at, old.first_seen_at) as first_seen_at,
    greatest(fresh.last_seen_at, old.last_seen_at) as last_seen_at,
    {%- for column in ['views', 'clicks', 'adds', 'purchases'] %}
    coalesce(fresh.{{ column }}, 0) + coalesce(old.{{ column }}, 0) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from arrived as fresh
left join {{ this }} as old using (tenant, item_id)
{%- endif %}

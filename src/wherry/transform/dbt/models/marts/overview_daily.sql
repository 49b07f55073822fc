{{ config(
    enabled=wherry.is_packaged('overview_daily'),
    pre_hook="{{ wherry.forget(wherry.of_touched_days('day')) }}"
) }}
-- depends_on: {{ ref('events') }}, {{ ref('sessions') }}, {{ ref('touched_days') }}

{{ wherry.overview('day') }}

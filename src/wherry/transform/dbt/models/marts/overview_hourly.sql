{{ config(
    enabled=wherry.is_packaged('overview_hourly'),
    pre_hook="{{ wherry.forget(wherry.of_touched_days('hour::date')) }}"
) }}
-- depends_on: {{ ref('events') }}, {{ ref('sessions') }}, {{ ref('touched_days') }}

{{ wherry.overview('hour') }}

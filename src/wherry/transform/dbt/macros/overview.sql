{#-
  What happened in each hour or day, by tenant. An event counts where it occurred, a session
  where it started. Periods without an event have no row: the audit looks for them.
-#}
{% macro overview(period) -%}
with
    happened as (
        select
            tenant,
            date_trunc('{{ period }}', occurred_at) as period,
            count(*) as events,
            count(distinct visitor_id) as visitors,
            count(*) filter (where event_type = 'view') as views,
            count(*) filter (where event_type = 'click') as clicks,
            count(*) filter (where event_type = 'add') as adds,
            count(*) filter (where event_type = 'remove') as removes,
            count(*) filter (where event_type = 'search') as searches,
            count(distinct transaction_id) as transactions,
            coalesce(sum(revenue), 0)::double as revenue
        from {{ ref('events') }}
        where {{ wherry.within('occurred_at') }} and {{ wherry.of_touched_days('occurred_at::date') }}
        group by all
    ),
    started as (
        select tenant, date_trunc('{{ period }}', started_at) as period, count(*) as sessions
        from {{ ref('sessions') }}
        where {{ wherry.within('started_at') }} and {{ wherry.of_touched_days('started_at::date') }}
        group by all
    )
select
    happened.tenant,
    happened.period{{ '::date' if period == 'day' }} as {{ period }},
    happened.events,
    coalesce(started.sessions, 0) as sessions,
    happened.* exclude (tenant, period, events)
from happened
left join started using (tenant, period)
{%- endmacro %}

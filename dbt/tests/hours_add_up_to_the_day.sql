{# Warns only: while a day is repaired, its hours may be published a moment before it. #}
{{ config(severity='warn') }}
with hours as (
  select venue, symbol, date, sum(trade_count) as trade_count, sum(volume) as volume
  from {{ ref('int_hours') }} group by venue, symbol, date
)

select d.venue, d.symbol, d.date, d.trade_count, h.trade_count as of_hours
from {{ ref('daily_market_summary') }} as d
join hours as h on h.venue = d.venue and h.symbol = d.symbol and h.date = d.date
where d.trade_count <> h.trade_count or abs(d.volume - h.volume) > 0.000001 * d.volume

{{ config(pre_hook="{{ forget_changed() }}") }}
with days as ({{ missing_days() }})

select
  b.venue, b.symbol, b.date, cast(extract(hour from b.ts_open at time zone 'UTC') as integer) as hour, b.trade_count,
  b.volume, b.quote_volume, b.taker_buy_volume, ln(b.close / b.open) as log_return, b.complete, d.revision
from {{ ref('stg_bars') }} as b
join days as d on d.venue = b.venue and d.symbol = b.symbol and d.date = b.date
where b.timeframe = '{{ var("hour_timeframe") }}'

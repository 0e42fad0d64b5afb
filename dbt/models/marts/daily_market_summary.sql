{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail',
          pre_hook="{{ forget_changed() }}") }}
with days as ({{ missing_days() }})

select
  b.venue, b.symbol, b.date, b.open, b.high, b.low, b.close, b.vwap, b.volume, b.quote_volume, b.taker_buy_volume,
  {{ share('b.taker_buy_volume', 'b.volume') }} as taker_buy_share, b.trade_count, b.close / b.open - 1 as day_return,
  b.high / b.low - 1 as price_range, m.realized_volatility, m.largest_move, coalesce(m.minutes, 0) as minutes,
  coalesce(m.incomplete_minutes, 0) as incomplete_minutes, b.complete, b.proof, d.revision
from {{ ref('stg_bars') }} as b
join days as d on d.venue = b.venue and d.symbol = b.symbol and d.date = b.date
left join {{ ref('int_minutes_by_day') }} as m on m.venue = b.venue and m.symbol = b.symbol and m.date = b.date
where b.timeframe = '{{ var("day_timeframe") }}'

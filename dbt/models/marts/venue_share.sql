{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail',
          pre_hook="{{ forget_changed('stg_market_days', ['symbol', 'date']) }}") }}
with days as ({{ missing_days('stg_market_days', ['symbol', 'date']) }})

select
  b.symbol, b.date, b.venue, b.quote_volume, b.trade_count,
  {{ share('b.quote_volume', 'sum(b.quote_volume) over (partition by b.symbol, b.date)') }} as volume_share,
  {{ share('cast(b.trade_count as double precision)', 'sum(b.trade_count) over (partition by b.symbol, b.date)') }} as trade_share,
  {{ whole('count(*) over (partition by b.symbol, b.date)') }} as venues,
  bool_and(b.complete) over (partition by b.symbol, b.date) as complete, d.revision
from {{ ref('stg_bars') }} as b
join days as d on d.symbol = b.symbol and d.date = b.date
where b.timeframe = '{{ var("day_timeframe") }}'

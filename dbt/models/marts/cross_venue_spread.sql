{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail',
          pre_hook="{{ forget_changed('stg_market_days', ['symbol', 'date']) }}") }}
with days as ({{ missing_days('stg_market_days', ['symbol', 'date']) }}),

minutes as (
  select b.venue, b.symbol, b.date, b.ts_open, b.close, d.revision
  from {{ ref('stg_bars') }} as b
  join days as d on d.symbol = b.symbol and d.date = b.date
  where b.timeframe = '{{ var("minute_timeframe") }}' and b.close is not null
),

spreads as (
  select
    a.symbol, a.venue, o.venue as other_venue, a.date, a.revision,
    20000 * (a.close - o.close) / (a.close + o.close) as spread_bps
  from minutes as a
  join minutes as o on o.symbol = a.symbol and o.date = a.date and o.ts_open = a.ts_open and a.venue < o.venue
)

select
  symbol, venue, other_venue, date, {{ whole('count(*)') }} as minutes, avg(spread_bps) as spread_mean_bps,
  avg(abs(spread_bps)) as spread_absolute_mean_bps, max(abs(spread_bps)) as spread_max_bps,
  stddev_samp(spread_bps) as spread_deviation_bps, max(revision) as revision
from spreads group by symbol, venue, other_venue, date

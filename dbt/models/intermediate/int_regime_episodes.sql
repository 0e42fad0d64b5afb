{{ config(materialized='table') }}
with marked as (
  select
    *, case when label = lag(label) over (partition by model, timeframe, venue, symbol order by ts_open)
      then 0 else 1 end as begins
  from {{ ref('int_regime_runs') }}
),

numbered as (
  select
    *, sum(begins) over (partition by model, timeframe, venue, symbol order by ts_open
      rows between unbounded preceding and current row) as episode
  from marked
),

episodes as (
  select
    model, timeframe, venue, symbol, {{ whole('episode') }} as episode, label, min(ts_open) as ts_open,
    max(ts_close) as ts_close, {{ whole('sum(bars)') }} as bars, sum(dwell_s) as dwell_s,
    {{ whole('sum(returns)') }} as returns, sum(log_return) as log_return, sum(squared_return) as squared_return
  from numbered group by model, timeframe, venue, symbol, episode, label
)

select
  *, lead(label) over (partition by model, timeframe, venue, symbol order by ts_open) as next_label
from episodes

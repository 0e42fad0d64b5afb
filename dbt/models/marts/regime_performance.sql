with sums as (
  select
    model, timeframe, venue, symbol, label, {{ whole('count(*)') }} as episodes,
    {{ whole('count(next_label)') }} as transitions, {{ whole('sum(bars)') }} as bars, sum(dwell_s) as dwell_total_s,
    avg(dwell_s) as dwell_mean_s, max(dwell_s) as dwell_max_s, {{ whole('sum(returns)') }} as returns,
    sum(log_return) as return_total, sum(squared_return) as squared_return, min(ts_open) as ts_first,
    max(ts_close) as ts_last
  from {{ ref('int_regime_episodes') }}
  group by model, timeframe, venue, symbol, label
)

select
  model, timeframe, venue, symbol, label, episodes, transitions, bars,
  dwell_total_s / sum(dwell_total_s) over (partition by model, timeframe, venue, symbol) as time_share, dwell_total_s,
  dwell_mean_s, dwell_max_s, return_total, return_total / nullif(returns, 0) as return_mean,
  case when returns > 1 then
    sqrt(greatest(squared_return - return_total * return_total / returns, 0) / (returns - 1)) end as volatility,
  ts_first, ts_last
from sums

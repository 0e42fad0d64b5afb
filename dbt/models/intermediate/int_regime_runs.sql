{{ config(pre_hook="{{ forget_changed('stg_regime_days') }}") }}
{# Runs of equal label within a day; the mart joins those that go on over midnight. #}
with days as ({{ missing_days('stg_regime_days') }}),

bars as (
  select b.timeframe, b.venue, b.symbol, b.date, b.ts_open, b.open, b.close
  from {{ ref('stg_bars') }} as b
  join days as d on d.venue = b.venue and d.symbol = b.symbol and d.date = b.date
  where b.close is not null
),

returns as (
  select timeframe, venue, symbol, date, ts_open, {{ log_return() }} as log_return from bars
),

labelled as (
  select
    r.model, r.timeframe, r.venue, r.symbol, r.date, r.ts_open, r.ts_close, r.label, d.revision,
    case when r.label = lag(r.label) over (partition by r.model, r.timeframe, r.venue, r.symbol, r.date order by r.ts_open)
      then 0 else 1 end as begins
  from {{ ref('stg_regimes') }} as r
  join days as d on d.venue = r.venue and d.symbol = r.symbol and d.date = r.date
  where r.label is not null
),

numbered as (
  select
    *, sum(begins) over (partition by model, timeframe, venue, symbol, date order by ts_open
      rows between unbounded preceding and current row) as run
  from labelled
)

select
  n.model, n.timeframe, n.venue, n.symbol, n.date, {{ whole('n.run') }} as run, n.label, min(n.ts_open) as ts_open,
  max(n.ts_close) as ts_close, {{ whole('count(*)') }} as bars,
  cast(sum(extract(epoch from (n.ts_close - n.ts_open))) as double precision) as dwell_s,
  {{ whole('count(x.log_return)') }} as returns, coalesce(sum(x.log_return), 0) as log_return,
  coalesce(sum(x.log_return * x.log_return), 0) as squared_return, max(n.revision) as revision
from numbered as n
left join returns as x
  on x.timeframe = n.timeframe and x.venue = n.venue and x.symbol = n.symbol and x.date = n.date and x.ts_open = n.ts_open
group by n.model, n.timeframe, n.venue, n.symbol, n.date, n.run, n.label

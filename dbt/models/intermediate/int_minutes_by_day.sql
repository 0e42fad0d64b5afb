{{ config(pre_hook="{{ forget_changed() }}") }}
with days as ({{ missing_days() }}),

minutes as (
  select b.timeframe, b.venue, b.symbol, b.date, b.ts_open, b.open, b.close, b.complete, d.revision
  from {{ ref('stg_bars') }} as b
  join days as d on d.venue = b.venue and d.symbol = b.symbol and d.date = b.date
  where b.timeframe = '{{ var("minute_timeframe") }}'
),

returns as (
  select venue, symbol, date, {{ log_return() }} as log_return from minutes where close is not null
),

moves as (
  select
    venue, symbol, date, {{ whole('count(*)') }} as minutes, sqrt(sum(log_return * log_return)) as realized_volatility,
    max(abs(log_return)) as largest_move
  from returns group by venue, symbol, date
),

counts as (
  select
    venue, symbol, date, {{ whole('count(*) filter (where not complete)') }} as incomplete_minutes, max(revision) as revision
  from minutes group by venue, symbol, date
)

select
  c.venue, c.symbol, c.date, coalesce(m.minutes, 0) as minutes, c.incomplete_minutes, m.realized_volatility, m.largest_move,
  c.revision
from counts as c
left join moves as m on m.venue = c.venue and m.symbol = c.symbol and m.date = c.date

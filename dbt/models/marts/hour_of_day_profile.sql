with totals as (
  select venue, symbol, sum(quote_volume) as quote_volume
  from {{ ref('int_hours') }} where complete group by venue, symbol
),

hours as (
  select
    venue, symbol, hour, {{ whole('count(*) filter (where complete)') }} as hours,
    {{ whole('count(*) filter (where not complete)') }} as incomplete_hours,
    avg(cast(trade_count as double precision)) filter (where complete) as trade_count_mean,
    avg(volume) filter (where complete) as volume_mean, avg(quote_volume) filter (where complete) as quote_volume_mean,
    sum(quote_volume) filter (where complete) as quote_volume,
    sum(volume) filter (where complete and taker_buy_volume is not null) as known_volume,
    sum(taker_buy_volume) filter (where complete) as taker_buy_volume,
    avg(log_return) filter (where complete) as return_mean,
    avg(abs(log_return)) filter (where complete) as absolute_return_mean,
    stddev_samp(log_return) filter (where complete) as volatility
  from {{ ref('int_hours') }} group by venue, symbol, hour
)

select
  h.venue, h.symbol, h.hour, h.hours, h.incomplete_hours, h.trade_count_mean, h.volume_mean, h.quote_volume_mean,
  {{ share('h.quote_volume', 't.quote_volume') }} as volume_share,
  {{ share('h.taker_buy_volume', 'h.known_volume') }} as taker_buy_share, h.return_mean, h.absolute_return_mean, h.volatility
from hours as h left join totals as t on t.venue = h.venue and t.symbol = h.symbol

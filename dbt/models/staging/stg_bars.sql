{% if target.type == 'duckdb' %}
select
  timeframe, venue, symbol, date, ts_open, ts_close, open, high, low, close, volume, quote_volume, taker_buy_volume,
  taker_buy_quote_volume, trade_count, vwap, complete, proof
from {{ source('lake', 'bars') }}
{% else %}
select
  b.timeframe, i.venue, i.symbol, cast(b.ts_open at time zone 'UTC' as date) as date, b.ts_open, b.ts_close, b.open, b.high,
  b.low, b.close, b.volume, b.quote_volume, b.taker_buy_volume, b.taker_buy_quote_volume, b.trade_count, b.vwap, b.complete,
  b.proof
from {{ source('market', 'bars') }} as b
join {{ source('market', 'instruments') }} as i on i.id = b.instrument_id
{% endif %}

select
  model, timeframe, venue, symbol, label, next_label, {{ whole('count(*)') }} as transitions,
  cast(count(*) as double precision)
    / sum(count(*)) over (partition by model, timeframe, venue, symbol, label) as probability
from {{ ref('int_regime_episodes') }}
where next_label is not null
group by model, timeframe, venue, symbol, label, next_label

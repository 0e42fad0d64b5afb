{% if target.type == 'duckdb' %}
select model, timeframe, venue, symbol, date, ts_open, ts_close, state, label, model_version
from {{ source('lake', 'regimes') }}
{% else %}
select
  r.model, r.timeframe, i.venue, i.symbol, cast(r.ts_open at time zone 'UTC' as date) as date, r.ts_open, r.ts_close, r.state,
  r.label, r.model_version
from {{ source('market', 'regimes') }} as r
join {{ source('market', 'instruments') }} as i on i.id = r.instrument_id
{% endif %}

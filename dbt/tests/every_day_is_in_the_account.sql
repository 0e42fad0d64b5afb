{# Warns only: a lake may be copied without its ledger. #}
{{ config(severity='warn') }}
select d.venue, d.symbol, d.date
from {{ ref('daily_market_summary') }} as d
left join {{ ref('completeness') }} as c on c.venue = d.venue and c.symbol = d.symbol and c.date = d.date
where c.venue is null

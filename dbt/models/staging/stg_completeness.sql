{% if target.type == 'duckdb' %}
select venue, symbol, date, first_id, last_id, expected, stored, void, open, unrecoverable, state
from {{ source('lake', 'completeness') }}
{% else %}
select venue, symbol, day as date, first_id, last_id, expected, stored, void, open, unrecoverable, state
from {{ source('platform', 'completeness') }}
{% endif %}

select
  venue, symbol, date, state, state in ('complete', 'reconciled') as proved, first_id, last_id, expected, stored, void, open,
  unrecoverable, {{ share('cast(stored as double precision)', 'expected - void') }} as held_share
from {{ ref('stg_completeness') }}

select
  venue, symbol, date, state, state in ('complete', 'reconciled') as proved, first_id, last_id, expected, stored, void, open,
  unrecoverable, case when expected is not null then
    {{ share('cast(stored as double precision)', 'greatest(stored + open + unrecoverable, expected - void)') }}
  end as held_share
from {{ ref('stg_completeness') }}

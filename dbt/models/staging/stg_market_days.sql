{# A symbol's day over all its venues: what compares venues is made again when any of them changed. #}
select
  symbol, date,
  case when count(revision) = count(*) then md5(string_agg(venue || ' ' || revision, ',' order by venue)) end as revision
from {{ ref('stg_days') }}
group by symbol, date

{# What is made for each symbol-day is made again only if a file of that day was replaced: each row bears the `revision`
   of its day. Before a model runs, rows of another revision go (`forget_changed`); then the days that have no row are
   computed (`missing_days`). Both happen in one transaction. Only days of the vars from_day … to_day are looked at. #}

{% macro forget_changed(days='stg_days', keys=['venue', 'symbol', 'date']) %}
  {% if is_incremental() %}
    delete from {{ this }} where {{ in_asked_days('date') }} and not exists (
      select 1 from {{ ref(days) }} as d where
      {% for key in keys %}d.{{ key }} = {{ this.identifier }}.{{ key }} and {% endfor %}
      d.revision = {{ this.identifier }}.revision
    )
  {% endif %}
{% endmacro %}

{% macro missing_days(days='stg_days', keys=['venue', 'symbol', 'date']) %}
  select * from {{ ref(days) }} as d where {{ in_asked_days('d.date') }}
  {% if is_incremental() %}
    and not exists (
      select 1 from {{ this }} as t
      where {% for key in keys %}t.{{ key }} = d.{{ key }}{{ ' and ' if not loop.last }}{% endfor %}
    )
  {% endif %}
{% endmacro %}

{% macro in_asked_days(column) -%}
  {{ column }} between date '{{ var('from_day') }}' and date '{{ var('to_day') }}'
{%- endmacro %}

{# The symbol-days that there are, with a hash over the files of these datasets. #}
{% macro revisions_of(datasets) %}
{% set names = "'" ~ datasets | join("', '") ~ "'" %}
{% if target.type == 'duckdb' %}
select
  venue, symbol, date,
  md5(string_agg(dataset || ' ' || timeframe || ' ' || coalesce(model, '') || ' ' || revision, ','
    order by dataset, timeframe, model)) as revision
from {{ source('lake', 'leaves') }}
where dataset in ({{ names }})
group by venue, symbol, date
{% else %}
{# The sink notes a revision with each file that it copies; a day of which it noted none is computed at each run. #}
with newest as (
  select distinct on (path) path, venue, symbol, day, content_hash
  from {{ source('platform', 'revisions') }}
  where dataset in ({{ names }})
  order by path, at desc
),

revisions as (
  select venue, symbol, day, md5(string_agg(path || ' ' || content_hash, ',' order by path)) as revision
  from newest group by venue, symbol, day
),

days as (
  select distinct i.venue, i.symbol, cast(b.ts_open at time zone 'UTC' as date) as date
  from {{ source('market', 'bars') }} as b
  join {{ source('market', 'instruments') }} as i on i.id = b.instrument_id
  where b.timeframe in ('{{ var("day_timeframe") }}', '{{ var("hour_timeframe") }}')
)

select d.venue, d.symbol, d.date, r.revision
from days as d left join revisions as r on r.venue = d.venue and r.symbol = d.symbol and r.day = d.date
{% endif %}
{% endmacro %}
